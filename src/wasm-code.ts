/** Compiling WebAssembly of the SDK's own, which a page or a runtime may forbid. */
import { GlimtError } from "./errors.ts";

/** @throws BACKEND_UNAVAILABLE where the host does not let code be compiled. */
export async function compileWasm(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw forbidden(cause);
  }
}

/** On this thread, for modules of a few kilobytes. @throws BACKEND_UNAVAILABLE as `compileWasm` */
export function compileSmallWasm(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (cause) {
    throw forbidden(cause);
  }
}

/** The SDK's modules are valid, so that only the host can be the reason. */
function forbidden(cause: unknown): GlimtError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new GlimtError(
    "BACKEND_UNAVAILABLE",
    "WebAssembly can not be compiled here. If this page has a Content-Security-Policy, add 'wasm-unsafe-eval' to its " +
      `script-src; some edge runtimes forbid it altogether. (${said})`,
    { cause },
  );
}
