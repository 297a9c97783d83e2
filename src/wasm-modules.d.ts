/** The bundler loads a WebAssembly module as its bytes. */
declare module "*.wasm" {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}

/** Compressed, in base64. */
declare module "*.wasm?packed" {
  export const text: string;
  export const size: number;
}

/** A file beside the bundle, which whoever deploys it compiles. */
declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
