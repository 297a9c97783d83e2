/** How the kernels of crates-free-native read weights: of blocks, loads of 16 bytes meet elements alone. */
import type { ChooseLayout } from "../../program/weights.ts";
import { isGroupedFormat } from "../../tensor/storage.ts";

export const cudaWeightLayout: ChooseLayout = (format) => (isGroupedFormat(format) ? "split" : "plain");
