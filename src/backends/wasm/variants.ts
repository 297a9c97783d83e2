/** The variants of the kernel module with their bytes, each a chunk of its own that is not decoded before it is asked for. */

import { unpackWasm } from "../../media/packed-wasm.ts";
import { kernelFile } from "./kernel-files.ts";
import { chooseAmong, VARIANT_FACTS, type Variant, type VariantWish } from "./variant-choice.ts";

export type { Variant };

export const VARIANTS = VARIANT_FACTS.map((facts) => ({
  ...facts,
  load: async () => unpackWasm(await kernelFile(facts.kind)),
}));

/** See chooseAmong. */
export const chooseVariant = (wish: VariantWish) => chooseAmong(VARIANTS, wish);
