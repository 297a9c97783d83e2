/** ggml's types of tensors: their numbers in GGUF files, how long their blocks are, and how glimt reads them. */
import type { WeightFormat } from "../../tensor/storage.ts";
import { iq4Nl } from "./blocks.ts";
import type { DecodeBlocks } from "./decode.ts";
import { iq4Xs, q2K, q3K } from "./super-blocks.ts";

export interface TensorType {
  readonly name: string;
  /** Elements of a row that share scales, and the bytes of so many. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** The storage format that its bytes are in. */
  readonly format?: WeightFormat;
  /** Its float32 values. With neither it can not be a weight. */
  readonly decode?: DecodeBlocks;
}

const type = (name: string, blockElements: number, blockBytes: number, how: Partial<TensorType> = {}) => ({
  name,
  blockElements,
  blockBytes,
  ...how,
});

export const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map([
  [0, type("F32", 1, 4, { format: "f32" })],
  [1, type("F16", 1, 2, { format: "f16" })],
  [2, type("Q4_0", 32, 18, { format: "q4" })],
  [3, type("Q4_1", 32, 20, { format: "q4_1" })],
  [6, type("Q5_0", 32, 22, { format: "q5_0" })],
  [7, type("Q5_1", 32, 24, { format: "q5_1" })],
  [8, type("Q8_0", 32, 34, { format: "q8" })],
  [9, type("Q8_1", 32, 36)],
  [10, type("Q2_K", 256, 84, { decode: q2K })],
  [11, type("Q3_K", 256, 110, { decode: q3K })],
  [12, type("Q4_K", 256, 144, { format: "q4_k" })],
  [13, type("Q5_K", 256, 176, { format: "q5_k" })],
  [14, type("Q6_K", 256, 210, { format: "q6_k" })],
  [15, type("Q8_K", 256, 292)],
  [16, type("IQ2_XXS", 256, 66)],
  [17, type("IQ2_XS", 256, 74)],
  [18, type("IQ3_XXS", 256, 98)],
  [19, type("IQ1_S", 256, 50)],
  [20, type("IQ4_NL", 32, 18, { decode: iq4Nl })],
  [21, type("IQ3_S", 256, 110)],
  [22, type("IQ2_S", 256, 82)],
  [23, type("IQ4_XS", 256, 136, { decode: iq4Xs })],
  [24, type("I8", 1, 1)],
  [25, type("I16", 1, 2)],
  [26, type("I32", 1, 4)],
  [27, type("I64", 1, 8)],
  [28, type("F64", 1, 8)],
  [29, type("IQ1_M", 256, 56)],
  [30, type("BF16", 1, 2, { format: "bf16" })],
  [34, type("TQ1_0", 256, 54)],
  [35, type("TQ2_0", 256, 66)],
  [39, type("MXFP4", 32, 17)],
  [40, type("NVFP4", 64, 36)],
]);

/** For messages. */
export const READABLE_TYPES = [...TENSOR_TYPES.values()]
  .filter(({ format, decode }) => format ?? decode)
  .map(({ name }) => name)
  .join(", ");
