/** A program in the module's memory: binds symbols and buffers, and turns the kernels' faults into errors. */

import { GlimtError } from "../../errors.ts";
import { isCollective, OPS } from "../../graph/ops.ts";
import { encodeProgram } from "../../program/encoding.ts";
import type { ProgramBuffer, ProgramTensor } from "../../program/program.ts";
import { bufferBytes } from "../../program/sizes.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import { evaluateDim, type SymbolValues } from "../../tensor/dims.ts";
import { type HostArray, hostArray, type TensorDType } from "../../tensor/dtype.ts";
import { storageBytes } from "../../tensor/storage.ts";
import type { Binding, DeviceWeight, Executable, Residents, RunBindings } from "../backend.ts";
import { bindWeights } from "../bind-weights.ts";
import { checkResidents } from "../check-residents.ts";
import { type CollectiveOperand, runCollective } from "../collectives.ts";
import type { Communicator } from "../communicator.ts";
import { hostDTypes } from "../host-arrays.ts";
import type { CrewPass } from "./crew.ts";
import type { Kernels, Pointer, Progress } from "./kernels.ts";
import type { Block, WasmMemory, WasmWeight } from "./memory.ts";

/** Mirrors FaultCode in wasm/kernels/executable.h; a test compares them. */
export const FAULT = { malformed: 1, dimension: 2, tooSmall: 3, index: 4, memory: 5 } as const;
/** Its code and five details. */
const FAULT_WORDS = 6;
const FAULT_BYTES = 4 * FAULT_WORDS;
const HIGHEST_SYMBOL = 2 ** 31 - 1;

/** A host array that takes part in a run: copied into the arena before it, or out of it afterwards. */
interface BoundArray {
  readonly buffer: number;
  readonly kind: "input" | "output";
  readonly data: Uint8Array;
  /** In the arena. */
  readonly offset: number;
}

/** Of a host array in the arena. */
const blockBytes = (bytes: number) => Math.ceil(bytes / 64) * 64;

/** Frees the decoded program of an executable that nobody holds any more, unless its engine went first. */
const forgotten = new FinalizationRegistry<{ kernels: WeakRef<Kernels>; pointer: Pointer }>(
  ({ kernels, pointer }) => kernels.deref()?.glimt_release(pointer),
);

export class WasmExecutable implements Executable {
  readonly program: VerifiedProgram;
  readonly #kernels: Kernels;
  readonly #memory: WasmMemory;
  readonly #pointer: Pointer;
  readonly #weights: readonly WasmWeight[];
  #resident: Residents = {};
  /** Whether its runs are too short to be shared, as far as is known. */
  isShort = true;

  /** @throws PROGRAM_INVALID when a weight does not fit; OUT_OF_MEMORY. */
  constructor(
    program: VerifiedProgram,
    weights: ReadonlyMap<string, DeviceWeight>,
    kernels: Kernels,
    memory: WasmMemory,
  ) {
    this.program = program;
    this.#kernels = kernels;
    this.#memory = memory;
    const encoded = encodeProgram(program);
    // The fault in front of the bytes.
    const block = memory.allocateBlock(FAULT_BYTES + encoded.length, `program "${program.name}"`);
    memory.bytes(block).set(encoded, FAULT_BYTES);
    this.#pointer = kernels.glimt_decode(block.pointer + FAULT_BYTES, encoded.length, block.pointer);
    const refused = this.#pointer === 0 ? this.#faultAt(block.pointer, {}) : undefined;
    memory.freeBlock(block);
    if (refused) throw refused;
    try {
      this.#weights = bindWeights(program, weights).flatMap((found, index) => {
        if (!found) return [];
        const weight = memory.ownedWeight(found);
        kernels.glimt_bind(this.#pointer, index, weight.pointer, weight.bytes);
        return [weight];
      });
    } catch (error) {
      kernels.glimt_release(this.#pointer);
      throw error;
    }
    forgotten.register(this, { kernels: new WeakRef(kernels), pointer: this.#pointer });
  }

  /** Whether it was loaded by the engine of this memory. */
  belongsTo(memory: WasmMemory): boolean {
    return memory === this.#memory;
  }

  /** See Engine.bind. */
  bind(resident: Residents): void {
    checkResidents(this.program, resident, (tensor) => this.#memory.owned(tensor));
    this.#resident = { ...resident };
  }

  /** Bytes of arena for temporaries and workspace. @throws INPUT_INVALID when a symbol or shape is impossible. */
  plan(symbols: SymbolValues): number {
    this.program.symbols.forEach((name, index) => {
      const value = symbols[name];
      if (value === undefined || !Number.isInteger(value) || value < 0 || value > HIGHEST_SYMBOL) {
        throw this.#invalidInput(`symbol "${name}" is ${value}, expected an integer of 0..${HIGHEST_SYMBOL}`);
      }
      this.#kernels.glimt_set_symbol(this.#pointer, index, value);
    });
    const bytes = this.#kernels.glimt_plan(this.#pointer, this.#kernels.threads);
    if (bytes < 0) throw this.#fault(symbols);
    return bytes;
  }

  /** Bytes of arena for a run whose inputs and outputs are host arrays, but for those it is bound to and `onDevice`. */
  arenaBytes(symbols: SymbolValues, onDevice: readonly string[]): number {
    const arrays = this.program.buffers.filter(
      ({ kind, name }) =>
        (kind === "input" || kind === "output") && !this.#resident[name] && !onDevice.includes(name),
    );
    return arrays.reduce((sum, buffer) => sum + blockBytes(bufferBytes(buffer, symbols)), this.plan(symbols));
  }

  /**
   * Binds tensors, and lists host arrays with their offsets in a block that starts at `offset` of the arena.
   * @throws INPUT_INVALID naming a buffer that is missing, of another dtype or too small; DISPOSED when a tensor, or a
   * weight of the program, was freed.
   */
  bindBuffers({ symbols, buffers }: RunBindings, offset: number): { arrays: BoundArray[]; end: number } {
    for (const weight of this.#weights) this.#memory.ownedWeight(weight);
    const arrays: BoundArray[] = [];
    let end = offset;
    this.program.buffers.forEach((buffer, index) => {
      const { kind } = buffer;
      if (kind === "weight" || kind === "temporary") return;
      const binding = buffers[buffer.name] ?? this.#resident[buffer.name];
      const [rows, cols] = [evaluateDim(buffer.rows, symbols), evaluateDim(buffer.cols, symbols)];
      const complain = (found: string) =>
        this.#invalidInput(`${kind} "${buffer.name}" ${found}, expected ${buffer.dtype}[${rows}, ${cols}]`);
      if (!binding) throw complain("is not bound");
      const found = this.#resolve(binding, complain);
      if (found.data && kind === "state") throw complain("is bound to a host array");
      if (!found.dtypes.includes(buffer.dtype)) throw complain(`is ${found.dtypes.join(" or ")}`);
      const needed = storageBytes(buffer.dtype, rows, cols);
      if (found.block.bytes < needed) {
        throw complain(`has ${found.block.bytes / storageBytes(buffer.dtype, 1, 1)} elements`);
      }
      if (found.data && kind !== "state") {
        arrays.push({ buffer: index, kind, data: found.data.subarray(0, needed), offset: end });
        end += blockBytes(needed);
      } else {
        this.#kernels.glimt_bind(this.#pointer, index, found.block.pointer, found.block.bytes);
      }
    });
    return { arrays, end };
  }

  /** Copies inputs into the arena and makes the program ready to run from its start. */
  start(arena: Block, arrays: readonly BoundArray[], symbols: SymbolValues): void {
    const bytes = this.#memory.bytes(arena);
    for (const { buffer, kind, data, offset } of arrays) {
      if (kind === "input") bytes.set(data, offset);
      this.#kernels.glimt_bind(this.#pointer, buffer, arena.pointer + offset, data.length);
    }
    if (!this.#kernels.glimt_start(this.#pointer, arena.pointer)) throw this.#fault(symbols);
  }

  /** Runs for about `operations` on this thread, at most up to the instruction `end`; true when the program has ended. */
  runSlice(operations: number, symbols: SymbolValues, end = this.program.instructions.length): boolean {
    return this.#hasEnded(this.#kernels.glimt_run(this.#pointer, operations, end), symbols);
  }

  /**
   * Runs on the crew's threads, at most up to the instruction `end`; true when the program has ended. See CrewPass.call.
   *
   * @returns the milliseconds that it took beside.
   */
  async runTogether(
    crew: CrewPass,
    symbols: SymbolValues,
    isWanted: () => boolean,
    end = this.program.instructions.length,
  ): Promise<{ readonly done: boolean; readonly milliseconds: number }> {
    const called = await crew.call(this.#kernels, "glimt_run_together", [this.#pointer, end], isWanted);
    if (!called) return { done: false, milliseconds: 0 };
    return {
      done: this.#hasEnded(called.result as Progress, symbols),
      milliseconds: called.milliseconds,
    };
  }

  #hasEnded(progress: Progress, symbols: SymbolValues): boolean {
    if (progress === 2) throw this.#fault(symbols);
    return progress === 0;
  }

  /** Whether the run stands before a collective, which `runCollective` does. */
  get isBeforeCollective(): boolean {
    const next = this.program.instructions[this.position];
    return next !== undefined && isCollective(next.op);
  }

  /** @throws what ends the run */
  async runCollective(symbols: SymbolValues, communicator: Communicator | undefined): Promise<void> {
    const next = this.program.instructions[this.position];
    if (!next || !isCollective(next.op)) return;
    const operands = (indices: readonly number[]) => indices.map((index) => this.#operand(index, symbols));
    await runCollective(next.op, operands(next.inputs), operands(next.outputs), next.attrs, communicator);
    this.#kernels.glimt_pass(this.#pointer);
  }

  /** After the run: copies outputs out of the arena. */
  finish(arena: Block, arrays: readonly BoundArray[]): void {
    const bytes = this.#memory.bytes(arena);
    for (const { kind, data, offset } of arrays) {
      if (kind === "output") data.set(bytes.subarray(offset, offset + data.length));
    }
  }

  /** The instruction that runs next. */
  get position(): number {
    return this.#kernels.glimt_position(this.#pointer);
  }

  get share(): number {
    return this.#kernels.glimt_share(this.#pointer);
  }

  #operand(index: number, symbols: SymbolValues): CollectiveOperand {
    const { buffer, rowStride, ...shape } = this.program.tensors[index] as ProgramTensor;
    const [rows, cols] = [evaluateDim(shape.rows, symbols), evaluateDim(shape.cols, symbols)];
    const stride = rowStride || cols;
    const dtype = this.program.buffers[buffer]?.dtype as TensorDType;
    const block = { pointer: this.#kernels.glimt_operand(this.#pointer, index), bytes: 0 };
    // Anew each time: what others allocate meanwhile may move the module's memory.
    const rowOf = (row: number) => this.#memory.elements(dtype, block, row * stride, cols);
    return {
      dtype,
      rows,
      cols,
      read() {
        const all = hostArray(dtype, rows * cols);
        for (let row = 0; row < rows; row++) all.set(rowOf(row), row * cols);
        return all;
      },
      write(all: HostArray) {
        for (let row = 0; row < rows; row++) rowOf(row).set(all.subarray(row * cols, (row + 1) * cols));
      },
    };
  }

  #resolve(
    binding: Binding,
    complain: (found: string) => GlimtError,
  ): { data?: Uint8Array; block: Block; dtypes: readonly TensorDType[] } {
    if (ArrayBuffer.isView(binding)) {
      const data = new Uint8Array(binding.buffer, binding.byteOffset, binding.byteLength);
      return { data, block: { pointer: 0, bytes: data.length }, dtypes: hostDTypes(binding) };
    }
    const { tensor, firstRow, rows } =
      "tensor" in binding ? binding : { tensor: binding, firstRow: 0, rows: binding.rows };
    const owned = this.#memory.owned(tensor);
    const areCounts = [firstRow, rows].every((count) => Number.isInteger(count) && count >= 0);
    if (!areCounts || firstRow + rows > owned.rows) {
      throw complain(`is bound to rows ${firstRow}..${firstRow + rows} of a tensor of ${owned.rows}`);
    }
    const rowBytes = storageBytes(owned.dtype, 1, owned.cols);
    return {
      block: { pointer: owned.pointer + firstRow * rowBytes, bytes: rows * rowBytes },
      dtypes: [owned.dtype],
    };
  }

  #fault(symbols: SymbolValues): GlimtError {
    return this.#faultAt(this.#kernels.glimt_fault(this.#pointer), symbols);
  }

  #faultAt(pointer: Pointer, symbols: SymbolValues): GlimtError {
    const words = new Int32Array(this.#kernels.memory.buffer, pointer, FAULT_WORDS);
    const [code, first = 0, second = 0, value, low, high] = words;
    const { buffers, tensors, instructions, name } = this.program;
    switch (code) {
      case FAULT.dimension: {
        const { rows, cols } = (first >= 0 ? buffers[first] : tensors[second]) as ProgramBuffer;
        // Says which dimension it was; past the limits of 32 bits only the shape is left to say.
        evaluateDim(rows, symbols);
        evaluateDim(cols, symbols);
        return this.#invalidInput(`the symbols ${JSON.stringify(symbols)} give a shape that is too large`);
      }
      case FAULT.tooSmall:
        return this.#invalidInput(`the memory of buffer "${buffers[first]?.name}" is too small`);
      case FAULT.index: {
        const { op, scope } = instructions[first] as (typeof instructions)[number];
        const input = Object.keys(OPS[op].inputs)[second];
        return this.#invalidInput(`${scope}.${op}: ${input} holds ${value}, expected ${low}..${high}`);
      }
      case FAULT.memory:
        return new GlimtError("OUT_OF_MEMORY", `${name}: no memory is left for the program's tables.`);
      default:
        return new GlimtError(
          "PROGRAM_INVALID",
          `${name}: the kernels can not decode the program; rebuild them with "npm run build".`,
        );
    }
  }

  #invalidInput(reason: string): GlimtError {
    return new GlimtError("INPUT_INVALID", `${this.program.name}: ${reason}.`);
  }
}
