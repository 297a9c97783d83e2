/** Runs the programs of a group's ranks on the reference kernels, in lockstep, each with memory of its own. */
import type { WeightRows } from "../../src/backends/backend.ts";
import { callKernel } from "../../src/backends/reference/kernel.ts";
import { KERNELS } from "../../src/backends/reference/kernels.ts";
import type { MatrixView } from "../../src/backends/reference/matrix-view.ts";
import { Memory, type ReferenceTensor, type ReferenceWeight } from "../../src/backends/reference/memory.ts";
import { resolveOperands } from "../../src/backends/reference/operands.ts";
import type { RowsView } from "../../src/backends/reference/rows-view.ts";
import { readWeight } from "../../src/backends/reference/weights.ts";
import { type CollectiveOp, isCollective } from "../../src/graph/ops.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { slotBytes } from "../../src/program/sizes.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { evaluateDim, type SymbolValues } from "../../src/tensor/dims.ts";
import { type HostArray, hostArray, hostLength } from "../../src/tensor/dtype.ts";

export type Inputs = Readonly<Record<string, HostArray>>;

/** An op that a rank waits at until the others are there. */
interface Pause {
  readonly op: CollectiveOp;
  readonly x: RowsView | undefined;
  readonly y: MatrixView | undefined;
  readonly attrs: readonly number[];
}

export class LockstepRank {
  readonly memory = new Memory();
  readonly program: VerifiedProgram;
  readonly #weights: (ReferenceWeight | null)[] = [];
  readonly #states = new Map<string, ReferenceTensor>();

  constructor(program: VerifiedProgram) {
    this.program = program;
  }

  async load(rowsOf: (spec: WeightSpec) => WeightRows): Promise<void> {
    const specs = new Map(this.program.weights.map((spec) => [spec.name, spec]));
    for (const { kind, name } of this.program.buffers) {
      const spec = kind === "weight" ? specs.get(name) : undefined;
      if (!spec) {
        this.#weights.push(null);
        continue;
      }
      const [rows = 1, cols = 1] = spec.shape;
      const weight = this.memory.allocateWeight(spec.dtype, rows, cols);
      await readWeight(rowsOf(spec), weight);
      this.#weights.push(weight);
    }
  }

  /** Stops at each collective op. Results are arrays by name. */
  *run(symbols: SymbolValues, inputs: Inputs): Generator<Pause, Map<string, HostArray>> {
    const { program, memory } = this;
    const results = new Map<string, HostArray>();
    const bindings: Record<string, HostArray | ReferenceTensor> = { ...inputs };
    for (const { kind, name, dtype, rows, cols } of program.buffers) {
      const [height, width] = [evaluateDim(rows, symbols), evaluateDim(cols, symbols)];
      if (kind === "output") {
        results.set(name, hostArray(dtype, hostLength(dtype, height * width)));
        bindings[name] = results.get(name) as HostArray;
      } else if (kind === "state") {
        const state = this.#states.get(name) ?? memory.allocate(dtype, height, width);
        this.#states.set(name, state);
        bindings[name] = state;
      }
    }
    const slots = slotBytes(program, symbols).map((bytes) => new ArrayBuffer(Math.ceil(bytes / 4) * 4));
    const operands = resolveOperands(program, this.#weights, slots, { symbols, buffers: bindings }, memory);
    const pick = (indices: readonly number[]) => indices.map((index) => operands[index] as RowsView);
    for (const { op, inputs: from, outputs: to, attrs } of program.instructions) {
      if (!isCollective(op)) callKernel(KERNELS, op, pick(from), pick(to), attrs);
      else yield { op, x: pick(from)[0], y: pick(to)[0] as MatrixView | undefined, attrs };
    }
    return results;
  }
}

/** One run of all ranks. @returns each rank's results */
export function runLockstep(
  ranks: readonly LockstepRank[],
  tensor: number,
  symbols: SymbolValues,
  inputs: Inputs,
): Map<string, HostArray>[] {
  const runs = ranks.map((rank) => rank.run(symbols, inputs));
  const at = runs.map((run) => run.next());
  const advance = (rank: number) => {
    at[rank] = (runs[rank] as (typeof runs)[number]).next();
  };
  const pauseOf = (rank: number) => (at[rank]?.done ? undefined : (at[rank]?.value as Pause | undefined));
  for (let moved = true; moved; ) {
    moved = false;
    for (const rank of ranks.keys()) {
      const pause = pauseOf(rank);
      if (!pause || pause.op === "receive") continue;
      if (pause.op === "send") {
        const [peer] = pause.attrs as [number];
        const other = pauseOf(peer);
        if (other?.op !== "receive" || other.attrs[0] !== rank) continue;
        moveRows(rowsOf(pause.x as RowsView), other.y as MatrixView);
        advance(rank);
        advance(peer);
      } else {
        const first = rank - (rank % tensor);
        const group = Array.from({ length: tensor }, (_, index) => first + index);
        const pauses = group.map(pauseOf);
        if (!pauses.every((other) => other?.op === pause.op)) continue;
        meet(pauses as Pause[]);
        for (const member of group) advance(member);
      }
      moved = true;
    }
  }
  return at.map(({ done, value }, rank) => {
    if (!done) throw new Error(`rank ${rank} waits at ${(value as Pause).op}`);
    return value as Map<string, HostArray>;
  });
}

function meet(pauses: readonly Pause[]): void {
  const all = pauses.map(({ x }) => rowsOf(x as RowsView));
  pauses.forEach(({ y }, rank) => {
    moveRows(resultOf(pauses[rank] as Pause, all, rank), y as MatrixView);
  });
}

/** Of the rows of all ranks, what one of them gets. */
function resultOf({ op, attrs }: Pause, all: readonly Float32Array[][], rank: number): Float32Array[] {
  if (op === "all_gather") {
    const [, stretches] = attrs as [number, number];
    const stretch = (row: Float32Array, index: number) => {
      const width = row.length / stretches;
      return row.subarray(index * width, (index + 1) * width);
    };
    return (all[0] as Float32Array[]).map((_, row) =>
      Float32Array.from(
        Array.from({ length: stretches }, (_, index) =>
          all.flatMap((rows) => [...stretch(rows[row] as Float32Array, index)]),
        ).flat(),
      ),
    );
  }
  const sums = all.reduce((a, b) => a.map((row, index) => addRows(row, b[index] as Float32Array)));
  if (op === "all_reduce") return sums;
  const [ranks] = attrs as [number];
  return sums.map((row) => {
    const width = row.length / ranks;
    return row.subarray(rank * width, (rank + 1) * width);
  });
}

function addRows(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, index) => value + (b[index] as number));
}

function rowsOf(view: RowsView): Float32Array[] {
  return Array.from({ length: view.rows }, (_, row) => {
    const values = new Float32Array(view.cols);
    view.readRow(row, values);
    return values;
  });
}

function moveRows(rows: readonly Float32Array[], to: MatrixView): void {
  rows.forEach((row, index) => {
    to.writeRow(index, row);
  });
}
