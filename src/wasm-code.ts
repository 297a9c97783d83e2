/** The SDK's own WebAssembly modules, compiled from bytes; or given compiled, where a host compiles none at run time. */
import { GlimtError } from "./errors.ts";

/** Modules that are imported where they are used; those of the kernels belong to a backend, which is given them. */
export type WasmName = "png" | "webp" | "pixels";

type Bytes = Uint8Array<ArrayBuffer>;

const provided = new Map<string, WebAssembly.Module>();

/** For the entry for such a host: from now on these are taken, and nothing is compiled in their place. */
export function provideWasm(modules: Readonly<Record<WasmName, WebAssembly.Module>>): void {
  for (const [name, module] of Object.entries(modules)) provided.set(name, module);
}

/** The module that was given under the name, or else one of the bytes. @throws BACKEND_UNAVAILABLE as `compileWasm` */
export async function namedWasm(
  name: WasmName,
  bytes: () => Bytes | Promise<Bytes>,
): Promise<WebAssembly.Module> {
  return provided.get(name) ?? compileWasm(await bytes());
}

/** The same on this thread, for modules of a few kilobytes. @throws BACKEND_UNAVAILABLE as `compileWasm` */
export function namedSmallWasm(name: WasmName, bytes: () => Bytes): WebAssembly.Module {
  const module = provided.get(name);
  if (module) return module;
  const code = bytes();
  try {
    return new WebAssembly.Module(code);
  } catch (cause) {
    throw forbidden(cause);
  }
}

/** @throws BACKEND_UNAVAILABLE where the host does not let code be compiled. */
export async function compileWasm(bytes: Bytes): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
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
      "script-src; in Cloudflare Workers import glimt/workerd, which has the modules compiled; other edge runtimes forbid it " +
      `altogether. (${said})`,
    { cause },
  );
}
