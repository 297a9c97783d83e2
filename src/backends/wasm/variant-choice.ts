/** The variants of the kernel module, best first: what a host must know to run one, and which one it runs. */

import type { WasmVariant } from "../backend.ts";
import { isRelaxedDotRight } from "./relaxed-dot.ts";

export interface VariantFacts {
  /** What one may ask for; with or without threads. In VARIANTS of wasm/kernels/build.mjs are the compiler's flags. */
  readonly kind: WasmVariant;
  readonly name: string;
  /** What it is built on, for people. */
  readonly description: string;
  /** Whether it is for several threads, which share its memory. */
  readonly threads: boolean;
  /** Bytes its memory may grow to: 4 GiB, or 16 GiB with 64-bit addresses, which cost speed. */
  readonly mostBytes: number;
  /** The smallest module that needs the instructions that the variant needs: a host that has them finds it valid. */
  readonly probe: Uint8Array<ArrayBuffer>;
}

export interface Variant extends VariantFacts {
  /** The module's bytes, with memory that is shared; or the module, where a host compiles none at run time. */
  load(): Promise<Uint8Array<ArrayBuffer> | WebAssembly.Module>;
}

/** What 32-bit addresses reach, and the most that engines give a memory with 64-bit ones. */
const GIB_4 = 2 ** 32;
const GIB_16 = 2 ** 34;

/** (func (result v128) ...) with the given code behind its empty list of locals, and a section of memories. */
function functionOf(code: readonly number[], memory: readonly number[] = []): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b],
    ...[0x03, 0x02, 0x01, 0x00],
    ...memory,
    ...[0x0a, code.length + 4, 0x01, code.length + 2, 0x00, ...code, 0x0b],
  );
}

/** (i8x16.splat (i32.const 0)) */
const ZEROS = [0x41, 0x00, 0xfd, 0x0f];
/** (i8x16.popcnt ZEROS) */
const SIMD = functionOf([...ZEROS, 0xfd, 0x62]);
/** (f32x4.relaxed_madd ZEROS ZEROS ZEROS) */
const MADD = [...ZEROS, ...ZEROS, ...ZEROS, 0xfd, 0x85, 0x02];
const RELAXED = functionOf(MADD);
/** (memory i64 1) and (memory i64 1 1 shared) */
const RELAXED64 = functionOf(MADD, [0x05, 0x03, 0x01, 0x04, 0x01]);
const RELAXED64_SHARED = functionOf(MADD, [0x05, 0x04, 0x01, 0x07, 0x01, 0x01]);

export const VARIANT_FACTS: readonly VariantFacts[] = [
  {
    kind: "relaxed",
    name: "relaxed-threads",
    description: "relaxed SIMD",
    threads: true,
    mostBytes: GIB_4,
    probe: RELAXED,
  },
  {
    kind: "relaxed",
    name: "relaxed",
    description: "relaxed SIMD",
    threads: false,
    mostBytes: GIB_4,
    probe: RELAXED,
  },
  {
    kind: "simd",
    name: "simd-threads",
    description: "SIMD128",
    threads: true,
    mostBytes: GIB_4,
    probe: SIMD,
  },
  {
    kind: "simd",
    name: "simd",
    description: "SIMD128",
    threads: false,
    mostBytes: GIB_4,
    probe: SIMD,
  },
  {
    kind: "relaxed64",
    name: "relaxed64-threads",
    description: "relaxed SIMD, 64-bit memory",
    threads: true,
    mostBytes: GIB_16,
    probe: RELAXED64_SHARED,
  },
  {
    kind: "relaxed64",
    name: "relaxed64",
    description: "relaxed SIMD, 64-bit memory",
    threads: false,
    mostBytes: GIB_16,
    probe: RELAXED64,
  },
];

export interface VariantWish {
  /** Whether it is to be for several threads. */
  readonly threads: boolean;
  /** The only kind that will do. */
  readonly kind?: WasmVariant | undefined;
  /** That its memory should have room for. */
  readonly bytes?: number | undefined;
}

export type VariantChoice<V extends VariantFacts> =
  | {
      readonly variant: V;
      /** Why not a better one, as EngineReport has it. */
      readonly limits: readonly string[];
    }
  | { readonly reason: string };

/**
 * The first variant that fits the wish, that this host runs and whose memory has room for the bytes; where none has, the
 * one with most room. Or why the host runs none.
 */
export function chooseAmong<V extends VariantFacts>(
  variants: readonly V[],
  { threads, kind, bytes = 0 }: VariantWish,
): VariantChoice<V> {
  if (typeof WebAssembly === "undefined") return { reason: "this host has no WebAssembly" };
  const fitting = variants.filter((one) => one.threads === threads && (!kind || one.kind === kind));
  const runs = fitting.filter((one) => whyNot(one) === undefined);
  const most = Math.max(0, ...runs.map(({ mostBytes }) => mostBytes));
  const variant = runs.find(({ mostBytes }) => mostBytes >= Math.min(bytes, most));
  if (!variant) {
    const reason = kind && fitting[0] ? whyNot(fitting[0]) : "lacks SIMD (fixed-width SIMD128)";
    return { reason: `this host's WebAssembly ${reason}` };
  }
  const better = fitting.slice(0, fitting.indexOf(variant)).filter((one) => !runs.includes(one));
  return {
    variant,
    limits: better.map((one) => `This host's WebAssembly ${whyNot(one)}`),
  };
}

/** What is wrong with this host's WebAssembly for it; undefined where nothing is. */
function whyNot({ kind, description, probe }: VariantFacts): string | undefined {
  if (!WebAssembly.validate(probe)) return `lacks ${description}`;
  if (kind !== "simd" && !isRelaxedDotRight())
    return "sums wrongly with relaxed SIMD (V8 on a processor without AVX)";
  return undefined;
}

/** Why several threads can not share memory here, or undefined. */
export function noSharedMemory(): string | undefined {
  if (typeof SharedArrayBuffer !== "undefined") return undefined;
  return typeof crossOriginIsolated === "undefined" || crossOriginIsolated
    ? "this host shares no memory between threads"
    : "this page is not cross-origin isolated (Cross-Origin-Opener-Policy: same-origin, Cross-Origin-Embedder-Policy: require-corp)";
}
