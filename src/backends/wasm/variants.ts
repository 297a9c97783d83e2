/** The variants of the kernel module, best first: what a host must know to run one, and where its bytes are. */

export interface Variant {
  /** As in VARIANTS of wasm/kernels/build.mjs, which has the compiler's flags. */
  readonly name: string;
  /** What it is built on, for people. */
  readonly description: string;
  /** The smallest module that needs what the variant needs: a host runs the variant if this is valid there. */
  readonly probe: Uint8Array<ArrayBuffer>;
  /** The module's bytes, which are a chunk of their own and not decoded before. */
  load(): Promise<Uint8Array<ArrayBuffer>>;
}

export const VARIANTS: readonly Variant[] = [
  {
    name: "simd",
    description: "SIMD128",
    // (func (result v128) (i8x16.popcnt (i8x16.splat (i32.const 0))))
    probe: Uint8Array.of(
      ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b],
      ...[0x03, 0x02, 0x01, 0x00],
      ...[0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b],
    ),
    load: async () => (await import("../../../build/wasm/kernels.simd.wasm")).default,
  },
];

/** The first variant that this host runs, or why it runs none. */
export function chooseVariant(): { readonly variant: Variant } | { readonly reason: string } {
  if (typeof WebAssembly === "undefined") return { reason: "this host has no WebAssembly" };
  const variant = VARIANTS.find(({ probe }) => WebAssembly.validate(probe));
  return variant ? { variant } : { reason: "this host's WebAssembly lacks SIMD (fixed-width SIMD128)" };
}
