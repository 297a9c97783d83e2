/** What a method of quantisation is: several tensors of a module stand for its weight. */
import { GlimtError } from "../../errors.ts";
import { fromFloat32, toFloat32 } from "../../tensor/elements.ts";
import { countNotFinite } from "../../tensor/finite.ts";
import type { GroupedFormat } from "../../tensor/storage.ts";
import type { CheckpointFiles } from "../files.ts";
import type { StoredDType, StoredTensor } from "../safetensors.ts";
import { shownName } from "../shown.ts";
import { floatValues } from "./float-values.ts";

export interface QuantisationMethod {
  /** As messages and listings call it, e.g. "GPTQ". */
  readonly label: string;
  /** How the names of the tensors may end that a module has for its weight, behind the module's path and a dot. */
  readonly parts: readonly string[];
  /**
   * How the weight is read; null when the module is not quantised, whatever the configuration says of it.
   * @throws Unreadable, and what reading a file throws
   */
  decoder(parts: Parts, signal: AbortSignal | undefined): Decoder | null | Promise<Decoder | null>;
}

/** Makes float32 rows of a weight of the bits that stand for it. */
export interface Decoder {
  /** [out, in], Hugging Face's. */
  readonly shape: readonly [number, number];
  /** "GPTQ 4 bits, groups of 128". */
  readonly encoding: string;
  /** Fills `into`, which has just their elements, with rows [first, first + count). @throws CHECKPOINT_INVALID, ABORTED */
  rows(first: number, count: number, into: Float32Array, signal: AbortSignal | undefined): Promise<void>;
  /** The same values in blocks, where these hold the module's own integers, and its scales but for their rounding. */
  readonly blocks?: BlockRows | undefined;
}

export interface BlockRows {
  readonly format: GroupedFormat;
  /** Whether scales may be rounded. */
  readonly isRounded?: boolean;
  rows(first: number, count: number, into: Uint8Array, signal: AbortSignal | undefined): Promise<void>;
}

/** Why a weight can not be read; the message is what follows its name. */
export class Unreadable extends Error {}

/** The tensors of a module that stand for its weight. */
export class Parts {
  /** Of the module, as its files spell it. */
  readonly path: string;
  readonly label: string;
  readonly #files: CheckpointFiles;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;

  /** `tensors` by the end of their name. */
  constructor(
    files: CheckpointFiles,
    path: string,
    label: string,
    tensors: ReadonlyMap<string, StoredTensor>,
  ) {
    this.#files = files;
    this.path = path;
    this.label = label;
    this.#tensors = tensors;
  }

  get(end: string): StoredTensor | undefined {
    return this.#tensors.get(end);
  }

  /** One that has to be there, as a matrix if `rank` is 2. @throws Unreadable */
  need(end: string, dtypes: readonly StoredDType[], rank?: 1 | 2): StoredTensor {
    const tensor = this.#tensors.get(end);
    if (!tensor) throw new Unreadable(`has no ${end} (${this.label})`);
    if (!dtypes.includes(tensor.dtype)) {
      throw new Unreadable(`has ${end} in ${tensor.dtype}, expected ${dtypes.join(" or ")} (${this.label})`);
    }
    if (elementCount(tensor) === 0) throw this.misfit(end, "some elements");
    if (rank !== undefined && tensor.shape.length !== rank) throw this.misfit(end, `${rank} dimensions`);
    return tensor;
  }

  /** The tensor does not go together with the others. */
  misfit(end: string, expected: string): Unreadable {
    const shape = shownName(`[${this.#tensors.get(end)?.shape.join(", ")}]`);
    return new Unreadable(`has ${end} ${shape}, expected ${expected} (${this.label})`);
  }

  /** Bytes [from, to) of a tensor. */
  async bytes(tensor: StoredTensor, from: number, to: number, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = new Uint8Array(to - from);
    await this.#files.readInto(tensor.file, tensor.offset + from, bytes, signal);
    return bytes;
  }

  /** Rows of a tensor, taken as a matrix [shape[0], product of the rest]. */
  rows(tensor: StoredTensor, first: number, count: number, signal?: AbortSignal): Promise<Uint8Array> {
    const rowBytes = tensor.bytes / Math.max(1, tensor.shape[0] ?? 1);
    return this.bytes(tensor, first * rowBytes, (first + count) * rowBytes, signal);
  }

  /** Fills `into` with as many whole rows as it has room for. */
  readRows(tensor: StoredTensor, first: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const rowBytes = tensor.bytes / Math.max(1, tensor.shape[0] ?? 1);
    return this.#files.readInto(tensor.file, tensor.offset + first * rowBytes, into, signal);
  }

  all(tensor: StoredTensor, signal?: AbortSignal): Promise<Uint8Array> {
    return this.bytes(tensor, 0, tensor.bytes, signal);
  }

  /** Elements [from, to) of scales or the like in float32. @throws CHECKPOINT_INVALID when one is NaN or infinite */
  async floats(tensor: StoredTensor, from: number, to: number, signal?: AbortSignal): Promise<Float32Array> {
    const size = tensor.bytes / elementCount(tensor);
    const values = floatValues(tensor.dtype, await this.bytes(tensor, from * size, to * size, signal));
    if (countNotFinite("f32", values) > 0) throw this.invalid(tensor, "holds NaN or infinity");
    return values;
  }

  /** The f16 patterns of f16 or bf16 scales [from, to). @throws CHECKPOINT_INVALID when one is not finite, or is not in f16 */
  async halves(tensor: StoredTensor, from: number, to: number, signal?: AbortSignal): Promise<Uint16Array> {
    const values = new Uint16Array((await this.bytes(tensor, from * 2, to * 2, signal)).buffer);
    const dtype = tensor.dtype === "BF16" ? "bf16" : "f16";
    if (countNotFinite(dtype, values) > 0) throw this.invalid(tensor, "holds NaN or infinity");
    if (dtype === "f16") return values;
    const rounded = fromFloat32("f16", toFloat32(dtype, values)) as Uint16Array;
    if (countNotFinite("f16", rounded) === 0) return rounded;
    throw this.invalid(
      tensor,
      'holds more than 65504, the most that a scale of blocks may be; load it with dtype "bf16"',
    );
  }

  /** What only the values can tell. */
  invalid({ name, file }: StoredTensor, what: string): GlimtError {
    return new GlimtError(
      "CHECKPOINT_INVALID",
      `${file} in ${this.#files.location}: tensor "${shownName(name)}" (${this.label}) ${what}.`,
    );
  }
}

export function elementCount({ shape }: Pick<StoredTensor, "shape">): number {
  return shape.reduce((product, size) => product * size, 1);
}
