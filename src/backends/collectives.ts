/**
 * What the collective ops do with the operands of one rank, where JavaScript reaches its memory. Sums are of float32, rank
 * after rank, and rounded once: they have the same bits on every rank.
 */
import { GlimtError } from "../errors.ts";
import type { CollectiveOp } from "../graph/ops.ts";
import { type HostArray, hostArray, type TensorDType } from "../tensor/dtype.ts";
import { fromFloat32, toFloat32 } from "../tensor/elements.ts";
import type { Communicator, Parcel } from "./communicator.ts";

/** An operand of one rank. */
export interface CollectiveOperand {
  readonly dtype: TensorDType;
  readonly rows: number;
  readonly cols: number;
  /** A copy of its elements, row by row. */
  read(): HostArray;
  write(data: HostArray): void;
}

type Collective = (
  operands: { readonly x: CollectiveOperand; readonly y: CollectiveOperand },
  attrs: readonly number[],
  communicator: Communicator,
) => Promise<void>;

const COLLECTIVES: Readonly<Record<CollectiveOp, Collective>> = {
  async all_reduce({ x, y }, _, communicator) {
    y.write(summed(x.dtype, await exchanged("all_reduce", x, communicator)));
  },
  async all_gather({ x, y }, [, stretches = 1], communicator) {
    const parts = await exchanged("all_gather", x, communicator);
    const joined = hostArray(y.dtype, y.rows * y.cols);
    const width = x.cols / stretches;
    for (let row = 0; row < x.rows; row++) {
      for (let stretch = 0; stretch < stretches; stretch++) {
        const from = row * x.cols + stretch * width;
        for (const [rank, part] of parts.entries()) {
          const at = row * y.cols + (stretch * parts.length + rank) * width;
          joined.set(part.subarray(from, from + width), at);
        }
      }
    }
    y.write(joined);
  },
  async reduce_scatter({ x, y }, _, communicator) {
    const sum = summed(x.dtype, await exchanged("reduce_scatter", x, communicator));
    const own = hostArray(y.dtype, y.rows * y.cols);
    const first = communicator.peers.indexOf(communicator.rank) * y.cols;
    for (let row = 0; row < y.rows; row++) {
      const from = row * x.cols + first;
      own.set(sum.subarray(from, from + y.cols), row * y.cols);
    }
    y.write(own);
  },
  async send({ x }, [peer], communicator) {
    communicator.send(peer as number, parcelOf("send", x), bytesOf(x.read()));
  },
  async receive({ y }, [peer], communicator) {
    y.write(arrayOf(y.dtype, await communicator.receive(peer as number, parcelOf("send", y))));
  },
};

/**
 * Does a rank's part of an instruction, with operands and attributes in the op table's order.
 * @throws PROGRAM_INVALID outside of a group; what ends the run
 */
export async function runCollective(
  op: CollectiveOp,
  inputs: readonly CollectiveOperand[],
  outputs: readonly CollectiveOperand[],
  attrs: readonly number[],
  communicator: Communicator | undefined,
): Promise<void> {
  if (!communicator) {
    throw new GlimtError(
      "PROGRAM_INVALID",
      `${op}: the program is one rank's of a group, and this engine is in none.`,
    );
  }
  // An op without one of them does not look at it.
  const operands = { x: inputs[0], y: outputs[0] } as Record<"x" | "y", CollectiveOperand>;
  await COLLECTIVES[op](operands, attrs, communicator);
}

async function exchanged(
  kind: string,
  x: CollectiveOperand,
  communicator: Communicator,
): Promise<HostArray[]> {
  const parts = await communicator.exchange(parcelOf(kind, x), bytesOf(x.read()));
  return parts.map((part) => arrayOf(x.dtype, part));
}

function parcelOf(kind: string, { dtype, rows, cols }: CollectiveOperand): Parcel {
  return { kind, dtype, rows, cols };
}

function summed(dtype: TensorDType, parts: readonly HostArray[]): HostArray {
  const [first, ...others] = parts.map((part) => toFloat32(dtype, part)) as [Float32Array, ...Float32Array[]];
  const sum = Float32Array.from(first);
  for (const part of others) {
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
  }
  return fromFloat32(dtype, sum);
}

function bytesOf({ buffer, byteOffset, byteLength }: HostArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The same bytes as elements. */
function arrayOf(dtype: TensorDType, bytes: Uint8Array): HostArray {
  const data = hostArray(dtype, bytes.length / hostArray(dtype, 0).BYTES_PER_ELEMENT);
  new Uint8Array(data.buffer).set(bytes);
  return data;
}
