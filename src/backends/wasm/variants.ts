/** The variants of the kernel module, best first: what a host must know to run one, and where its bytes are. */

export interface Variant {
  /** As in VARIANTS of wasm/kernels/build.mjs, which has the compiler's flags. */
  readonly name: string;
  /** What it is built on, for people. */
  readonly description: string;
  /** Whether it is for several threads; such a module imports memory that they share. */
  readonly threads: boolean;
  /** The smallest module that needs the instructions that the variant needs: a host runs it if this is valid there. */
  readonly probe: Uint8Array<ArrayBuffer>;
  /** The module's bytes, which are a chunk of their own and not decoded before. */
  load(): Promise<Uint8Array<ArrayBuffer>>;
}

/** (func (result v128) ...) with the given code behind its empty list of locals. */
function functionOf(...code: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b],
    ...[0x03, 0x02, 0x01, 0x00],
    ...[0x0a, code.length + 4, 0x01, code.length + 2, 0x00, ...code, 0x0b],
  );
}

/** (i8x16.splat (i32.const 0)) */
const ZEROS = [0x41, 0x00, 0xfd, 0x0f];
/** (i8x16.popcnt ZEROS) */
const SIMD = functionOf(...ZEROS, 0xfd, 0x62);
/** (f32x4.relaxed_madd ZEROS ZEROS ZEROS) */
const RELAXED = functionOf(...ZEROS, ...ZEROS, ...ZEROS, 0xfd, 0x85, 0x02);

export const VARIANTS: readonly Variant[] = [
  {
    name: "relaxed-threads",
    description: "relaxed SIMD",
    threads: true,
    probe: RELAXED,
    load: async () => (await import("../../../build/wasm/kernels.relaxed-threads.wasm")).default,
  },
  {
    name: "relaxed",
    description: "relaxed SIMD",
    threads: false,
    probe: RELAXED,
    load: async () => (await import("../../../build/wasm/kernels.relaxed.wasm")).default,
  },
  {
    name: "simd-threads",
    description: "SIMD128",
    threads: true,
    probe: SIMD,
    load: async () => (await import("../../../build/wasm/kernels.simd-threads.wasm")).default,
  },
  {
    name: "simd",
    description: "SIMD128",
    threads: false,
    probe: SIMD,
    load: async () => (await import("../../../build/wasm/kernels.simd.wasm")).default,
  },
];

/** The first variant for one thread or for several that this host runs, or why it runs none. */
export function chooseVariant(threads: boolean): { readonly variant: Variant } | { readonly reason: string } {
  if (typeof WebAssembly === "undefined") return { reason: "this host has no WebAssembly" };
  const variant = VARIANTS.find(
    (candidate) => candidate.threads === threads && WebAssembly.validate(candidate.probe),
  );
  return variant ? { variant } : { reason: "this host's WebAssembly lacks SIMD (fixed-width SIMD128)" };
}

/** Why several threads can not share memory here, or undefined. */
export function noSharedMemory(): string | undefined {
  if (typeof SharedArrayBuffer !== "undefined") return undefined;
  return typeof document === "undefined"
    ? "this host shares no memory between threads"
    : "this page is not cross-origin isolated (Cross-Origin-Opener-Policy: same-origin, Cross-Origin-Embedder-Policy: require-corp)";
}
