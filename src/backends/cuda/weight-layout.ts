/** How the kernels of crates-free-native read weights: of blocks, loads of 16 bytes meet integers alone. */
import type { ChooseLayout } from "../../program/weights.ts";
import { isBlockFormat } from "../../tensor/storage.ts";

export const cudaWeightLayout: ChooseLayout = (format) => (isBlockFormat(format) ? "split" : "plain");
