/** The reference engine: interprets the program's bytes, instruction by instruction. */

import { GlimtError, throwIfAborted } from "../../errors.ts";
import { turnWhenDue } from "../../event-loop.ts";
import { isCollective } from "../../graph/ops.ts";
import { decodeProgram, encodeProgram } from "../../program/encoding.ts";
import type { Instruction } from "../../program/program.ts";
import { slotBytes } from "../../program/sizes.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import { type HostArray, hostLength, type TensorDType } from "../../tensor/dtype.ts";
import type { WeightLayout } from "../../tensor/storage.ts";
import type {
  Backend,
  DeviceRows,
  DeviceTensor,
  DeviceWeight,
  Engine,
  EngineReport,
  Executable,
  Residents,
  RunBindings,
  RunOptions,
  WeightRows,
} from "../backend.ts";
import { bindWeights } from "../bind-weights.ts";
import { checkCopy } from "../check-copy.ts";
import { checkResidents } from "../check-residents.ts";
import { checkSupport } from "../check-support.ts";
import { runCollective } from "../collectives.ts";
import { asStored, isStorable } from "../host-arrays.ts";
import { checkWeightLayouts, requireLayout } from "../weight-layouts.ts";
import { callKernel } from "./kernel.ts";
import { KERNELS } from "./kernels.ts";
import type { MatrixView } from "./matrix-view.ts";
import { Memory, type ReferenceTensor, type ReferenceWeight } from "./memory.ts";
import { resolveOperands } from "./operands.ts";
import type { RowsView } from "./rows-view.ts";
import { readWeight } from "./weights.ts";

class ReferenceExecutable implements Executable {
  readonly program: VerifiedProgram;
  /** Its engine's. */
  readonly memory: Memory;
  /** By buffer index; null for buffers that are no weight. */
  readonly weights: readonly (ReferenceWeight | null)[];
  resident: Residents = {};

  constructor(program: VerifiedProgram, memory: Memory, weights: readonly (ReferenceWeight | null)[]) {
    this.program = program;
    this.memory = memory;
    this.weights = weights;
  }
}

export const REFERENCE_REPORT: EngineReport = {
  description: "plain TypeScript, float64 accumulation",
  limits: [],
};

export class ReferenceEngine implements Engine {
  readonly backend: Backend;
  readonly report = REFERENCE_REPORT;
  readonly #memory: Memory;
  #disposed = false;

  constructor(backend: Backend) {
    this.backend = backend;
    this.#memory = new Memory(backend.weightOnly);
  }

  get liveBytes(): number {
    // A run that waits for other ranks may hold its arena a little longer.
    return this.#disposed ? 0 : this.#memory.liveBytes;
  }

  allocate(dtype: TensorDType, rows: number, cols: number): ReferenceTensor {
    this.#checkLive();
    return this.#memory.allocate(dtype, rows, cols);
  }

  free(memory: DeviceTensor | DeviceWeight): void {
    this.#checkLive();
    this.#memory.free(memory);
  }

  write(tensor: DeviceTensor, firstRow: number, values: HostArray): void {
    this.#checkLive();
    const { data, dtype, cols, rows } = this.#memory.owned(tensor);
    const start = hostLength(dtype, firstRow * cols);
    const fits = firstRow >= 0 && start + values.length <= data.length;
    if (!isStorable(dtype, values) || !fits) {
      throw new GlimtError(
        "INPUT_INVALID",
        `write: a ${values.constructor.name} of ${values.length} elements from row ${firstRow} does not fit ${dtype}[${rows}, ${cols}].`,
      );
    }
    data.set(asStored(dtype, values), start);
  }

  async read(tensor: DeviceTensor, firstRow = 0, rows = tensor.rows - firstRow): Promise<HostArray> {
    this.#checkLive();
    const { data, dtype, cols } = this.#memory.owned(tensor);
    if (firstRow < 0 || rows < 0 || firstRow + rows > tensor.rows) {
      throw new GlimtError(
        "INPUT_INVALID",
        `read: rows ${firstRow}..${firstRow + rows} are outside a tensor of ${tensor.rows} rows.`,
      );
    }
    return data.slice(hostLength(dtype, firstRow * cols), hostLength(dtype, (firstRow + rows) * cols));
  }

  copy(to: DeviceTensor, firstRow: number, from: DeviceRows): void {
    this.#checkLive();
    const target = this.#memory.owned(to);
    const source = this.#memory.owned(from.tensor);
    checkCopy(target, firstRow, from);
    const place = (row: number) => hostLength(target.dtype, row * target.cols);
    const rows = source.data.subarray(place(from.firstRow), place(from.firstRow + from.rows));
    target.data.set(rows, place(firstRow));
  }

  async uploadWeight(source: WeightRows, layout: WeightLayout): Promise<ReferenceWeight> {
    requireLayout(this.backend, layout, "plain");
    await turnWhenDue();
    this.#checkLive();
    const weight = this.#memory.allocateWeight(source.spec.dtype, source.rows, source.cols);
    try {
      await readWeight(source, weight);
      this.#checkLive();
      return weight;
    } catch (error) {
      if (!this.#disposed) this.#memory.free(weight);
      throw error;
    }
  }

  load(program: VerifiedProgram, weights: ReadonlyMap<string, DeviceWeight>): Executable {
    this.#checkLive();
    checkSupport(program, this.backend);
    const decoded = decodeProgram(encodeProgram(program));
    checkWeightLayouts(this.backend, decoded);
    const bound = bindWeights(decoded, weights).map((weight) => weight && this.#memory.ownedWeight(weight));
    return new ReferenceExecutable(decoded, this.#memory, bound);
  }

  bind(executable: Executable, resident: Residents): void {
    const own = this.#own(executable);
    checkResidents(own.program, resident, (tensor) => this.#memory.owned(tensor));
    own.resident = { ...resident };
  }

  async run(
    executable: Executable,
    { symbols, buffers }: RunBindings,
    options: RunOptions = {},
  ): Promise<void> {
    const { program, weights, resident } = this.#own(executable);
    throwIfAborted(options.signal);
    const bindings = { symbols, buffers: { ...resident, ...buffers } };
    await this.#memory.withArena(slotBytes(program, symbols), async (slots) => {
      const operands = resolveOperands(program, weights, slots, bindings, this.#memory);
      await this.#interpret(program.instructions, operands, options);
    });
  }

  dispose(): void {
    this.#disposed = true;
    this.#memory.freeAll();
  }

  async #interpret(
    instructions: readonly Instruction[],
    operands: readonly RowsView[],
    { signal, onProgress, onInstruction, communicator }: RunOptions,
  ): Promise<void> {
    const pick = (indices: readonly number[]) => indices.map((index) => operands[index] as RowsView);
    for (const [index, { op, inputs, outputs, attrs }] of instructions.entries()) {
      const began = performance.now();
      if (isCollective(op)) {
        const [taken, given] = [pick(inputs), pick(outputs)] as MatrixView[][];
        await runCollective(op, taken as MatrixView[], given as MatrixView[], attrs, communicator);
      } else {
        callKernel(KERNELS, op, pick(inputs), pick(outputs), attrs);
      }
      onInstruction?.(index, performance.now() - began);
      onProgress?.((index + 1) / instructions.length);
      await turnWhenDue(signal);
      this.#checkLive();
    }
    onProgress?.(1);
  }

  #own(executable: Executable): ReferenceExecutable {
    this.#checkLive();
    if (executable instanceof ReferenceExecutable && executable.memory === this.#memory) return executable;
    throw new GlimtError("PROGRAM_INVALID", "The program was loaded by another engine.");
  }

  #checkLive(): void {
    if (this.#disposed) throw new GlimtError("DISPOSED", "The engine was disposed of.");
  }
}
