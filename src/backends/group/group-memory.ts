/** Tensors and weights of a group: a part on each rank that needs one. */
import type { VerifiedProgram } from "../../program/verify-program.ts";
import type { TensorDType } from "../../tensor/dtype.ts";
import type { WeightFormat, WeightLayout } from "../../tensor/storage.ts";
import type { DeviceTensor, DeviceWeight } from "../backend.ts";
import { notOwned, notTensor } from "../not-owned.ts";
import { rankPrograms } from "./rank-programs.ts";

/** By rank; null where there is none. */
export type Parts<T> = readonly (T | null)[];

/** Parts have all its rows; each has all columns, or those of a rank. */
export class GroupTensor implements DeviceTensor {
  readonly dtype: TensorDType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
  /** The columns of each rank. */
  readonly places: Parts<number>;
  /** Those of this process. */
  readonly parts: Parts<DeviceTensor>;

  constructor(
    dtype: TensorDType,
    rows: number,
    cols: number,
    places: Parts<number>,
    parts: Parts<DeviceTensor>,
  ) {
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.bytes = parts.reduce((sum, part) => sum + (part?.bytes ?? 0), 0);
    this.places = places;
    this.parts = parts;
  }

  /** Whether a rank has some of its columns only. */
  get isSplit(): boolean {
    return this.places.some((cols) => cols !== null && cols !== this.cols);
  }
}

export class GroupWeight implements DeviceWeight {
  readonly format: WeightFormat;
  readonly layout: WeightLayout;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
  readonly parts: Parts<DeviceWeight>;

  constructor(
    { format, layout, rows, cols }: Pick<DeviceWeight, "format" | "layout" | "rows" | "cols">,
    parts: Parts<DeviceWeight>,
  ) {
    this.format = format;
    this.layout = layout;
    this.rows = rows;
    this.cols = cols;
    this.bytes = parts.reduce((sum, part) => sum + (part?.bytes ?? 0), 0);
    this.parts = parts;
  }
}

/** What a group has allocated and not freed. */
export class GroupMemory {
  readonly #owned = new Set<DeviceTensor | DeviceWeight>();

  add<T extends GroupTensor | GroupWeight>(memory: T): T {
    this.#owned.add(memory);
    return memory;
  }

  /** @throws DISPOSED when it was freed or belongs to another engine */
  remove(memory: DeviceTensor | DeviceWeight): GroupTensor | GroupWeight {
    const isOwn = memory instanceof GroupTensor || memory instanceof GroupWeight;
    if (!isOwn || !this.#owned.delete(memory)) throw notOwned(memory);
    return memory;
  }

  /** @throws DISPOSED when the tensor was freed or belongs to another engine; INPUT_INVALID for a weight */
  tensor(tensor: DeviceTensor): GroupTensor {
    if (tensor instanceof GroupTensor && this.#owned.has(tensor)) return tensor;
    throw notTensor(tensor);
  }

  /** @throws DISPOSED when the weight was freed or belongs to another engine */
  weight(weight: DeviceWeight): GroupWeight {
    if (weight instanceof GroupWeight && this.#owned.has(weight)) return weight;
    throw notOwned(weight);
  }
}

/** Of a buffer's name, the columns that each rank's programs give it; null where none has it. */
export type Placement = ReadonlyMap<string, Parts<number>>;

/** Of states, inputs and outputs whose columns are no symbols. */
export function placementOf(programs: readonly VerifiedProgram[], ranks: number): Placement {
  const placement = new Map<string, (number | null)[]>();
  for (const program of programs) {
    for (const [rank, { buffers }] of rankPrograms(program, ranks).entries()) {
      for (const { kind, name, cols } of buffers) {
        if (kind === "weight" || kind === "temporary" || typeof cols !== "number") continue;
        const places = placement.get(name) ?? new Array<number | null>(ranks).fill(null);
        places[rank] = cols;
        placement.set(name, places);
      }
    }
  }
  return placement;
}
