/**
 * The engine of a device group: an engine a rank, each with its part of every program, its weights and its tensors. A run
 * is a run on every rank, which meet in collectives. Runs queue on each rank in the order they came, so that in a pipeline
 * one stage is at a later run than the next.
 *
 * A run that fails in a way that its caller can mend (ABORTED, OUT_OF_MEMORY, INPUT_INVALID) ends on all ranks, and the
 * group goes on. Anything else, ranks out of step and ranks that stand still among it, ends the group: all is freed, and
 * whatever is asked then is answered with the one GROUP_FAILED.
 *
 * Where ranks are in several processes, each process has such an engine and makes the same calls in the same order.
 */
import { type ErrorCode, GlimtError, throwIfAborted } from "../../errors.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import { loadedPrograms, wholeRanks } from "../../program/weights.ts";
import type { SymbolValues } from "../../tensor/dims.ts";
import type { HostArray, TensorDType } from "../../tensor/dtype.ts";
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
  SideBySide,
  WeightRows,
} from "../backend.ts";
import { checkCopy } from "../check-copy.ts";
import { checkResidents } from "../check-residents.ts";
import { GroupExecutable } from "./group-executable.ts";
import { GroupMemory, GroupTensor, GroupWeight, type Parts, type Placement } from "./group-memory.ts";
import type { GroupLink } from "./link.ts";
import { Liveness } from "./liveness.ts";
import { askedOf, OtherProcesses } from "./other-processes.ts";
import { rankPrograms } from "./rank-programs.ts";
import { RunMail, type Traffic } from "./run-mail.ts";
import { type GroupShape, stageRankCount } from "./shape.ts";

/** Errors of a run alone. Engines that reach one another by themselves answer GROUP_FAILED where they are out of step. */
const MENDABLE: ReadonlySet<ErrorCode> = new Set(["ABORTED", "OUT_OF_MEMORY", "INPUT_INVALID"]);

interface Rank {
  readonly engine: Engine;
  /** Its last run. */
  last: Promise<unknown>;
  /** That have not ended. */
  runs: number;
}

export interface GroupEngineOptions {
  readonly shape: GroupShape;
  /** Of what will be loaded. */
  readonly placement: Placement;
  /** Milliseconds without progress of any rank, after which the group has failed. */
  readonly deadlineMs: number;
  /** Where there are other processes. */
  readonly link?: GroupLink | undefined;
}

export class GroupEngine implements Engine {
  readonly backend: Backend;
  readonly overlappingRuns: number;
  readonly sideBySide: SideBySide;
  readonly #ranks: Parts<Rank>;
  readonly #shape: GroupShape;
  readonly #placement: Placement;
  /** Of runs of stages, and of those of ranks that encode: the ones may go on for ever while the others stand still. */
  readonly #liveness: Readonly<Record<"stages" | "encoders", Liveness>>;
  readonly #others: OtherProcesses | null;
  readonly #memory = new GroupMemory();
  /** Runs that have not ended, and what ends waiting for each. */
  readonly #underWay = new Map<RunMail, () => void>();
  readonly #traffic: { operations: number; bytes: number }[];
  /** Why nothing can be asked any more. */
  #end: GlimtError | null = null;

  /** @param engines by rank, of one backend; they are this one's from now on. Null for ranks of other processes. */
  constructor(backend: Backend, engines: Parts<Engine>, options: GroupEngineOptions) {
    const { shape, placement, deadlineMs, link } = options;
    this.backend = backend;
    this.overlappingRuns = shape.pipeline;
    this.#ranks = engines.map((engine) => engine && { engine, last: Promise.resolve(), runs: 0 });
    this.#shape = shape;
    this.#placement = placement;
    this.#traffic = engines.map(() => ({ operations: 0, bytes: 0 }));
    const onStandstill = () => this.#close(this.#standstill(deadlineMs));
    this.#liveness = {
      stages: new Liveness(deadlineMs, onStandstill),
      encoders: new Liveness(deadlineMs, onStandstill),
    };
    this.#others = link ? new OtherProcesses(link, shape) : null;
    link?.watch(
      () => {
        for (const liveness of Object.values(this.#liveness)) liveness.seen();
      },
      (error) =>
        this.#close(new GlimtError("GROUP_FAILED", `A part of the group is lost: ${error.message}.`)),
    );
    const isEncoder = (rank: number) => rank >= stageRankCount(shape);
    this.sideBySide = {
      ranksOf: (executable) => wholeRanks(this.#own(executable).programs),
      isApart: (executable) => wholeRanks(this.#own(executable).programs).some(isEncoder),
      runsBeside: link === undefined,
      run: (executable, bindings, run) => this.#runEach(executable, bindings, run),
      spread: (to, firstRow, from, rank) => this.#spread(to, firstRow, from, rank),
    };
  }

  get report(): EngineReport {
    const reports = this.#engines.map(({ report }) => report);
    const [first] = reports as [EngineReport];
    const { tensor, pipeline, encoders = 0 } = this.#shape;
    const kinds = [...new Set(reports.map(({ description }) => description))];
    const behind = encoders > 0 ? `, ${encoders} for the encoder` : "";
    return {
      ...first,
      description: `${this.#ranks.length} devices (tensor ${tensor}, pipeline ${pipeline}${behind}): ${kinds.join("; ")}`,
      limits: [...new Set(reports.flatMap(({ limits }) => limits))],
    };
  }

  /** Of this process. */
  get liveBytes(): number {
    return this.#engines.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
  }

  /** Of the stages' ranks, as if all had as little as the one with least: what they hold is alike. */
  get freeBytes(): number | undefined {
    this.#alive();
    const ofStages = stageRankCount(this.#shape);
    const free = this.#ranks.flatMap((one, rank) =>
      one && rank < ofStages ? [this.#asked(rank, (engine) => engine.freeBytes)] : [],
    );
    if (free.length === 0 || free.some((bytes) => bytes === undefined)) return undefined;
    return ofStages * Math.min(...(free as number[]));
  }

  /** Bytes that each rank holds. */
  get liveBytesByRank(): readonly number[] {
    return this.#ranks.map((rank) => rank?.engine.liveBytes ?? 0);
  }

  /** What each rank gave to others in runs that have ended, and of what it encoded, where that goes by way of JavaScript. */
  get traffic(): readonly Traffic[] {
    return this.#traffic;
  }

  allocate(dtype: TensorDType, rows: number, cols: number, name?: string): GroupTensor {
    this.#alive();
    const places = (name !== undefined && this.#placement.get(name)) || this.#ranks.map(() => cols);
    const parts: (DeviceTensor | null)[] = [];
    try {
      for (const [rank, one] of this.#ranks.entries()) {
        const width = places[rank] ?? null;
        const allocate = (engine: Engine) => engine.allocate(dtype, rows, width as number, name);
        parts.push(one && width !== null ? this.#asked(rank, allocate) : null);
      }
    } catch (error) {
      this.#freeParts(parts);
      throw error;
    }
    return this.#memory.add(new GroupTensor(dtype, rows, cols, places, parts));
  }

  free(memory: DeviceTensor | DeviceWeight): void {
    // Who cleans up behind the failure that he was told of is told no other: all is free.
    if (this.#end?.code === "GROUP_FAILED") return;
    this.#alive();
    this.#freeParts(this.#memory.remove(memory).parts);
  }

  write(tensor: DeviceTensor, firstRow: number, data: HostArray): void {
    this.#alive();
    const { parts } = this.#whole(tensor, "written");
    for (const [rank, part] of parts.entries()) {
      if (part) this.#asked(rank, (engine) => engine.write(part, firstRow, data));
    }
  }

  async read(tensor: DeviceTensor, firstRow = 0, rows = tensor.rows - firstRow): Promise<HostArray> {
    this.#alive();
    const { parts, places, dtype, cols } = this.#whole(tensor, "read");
    const here = parts.findIndex((part) => part !== null);
    const own = here < 0 ? null : await this.#readPart(here, parts[here] as DeviceTensor, firstRow, rows);
    const has = places.map((place) => place !== null);
    return this.#others ? this.#others.share(has, dtype, rows, cols, own) : (own as HostArray);
  }

  copy(to: DeviceTensor, firstRow: number, from: DeviceRows): void {
    this.#alive();
    const target = this.#memory.tensor(to);
    const source = this.#memory.tensor(from.tensor);
    checkCopy(target, firstRow, from);
    for (const rank of this.#ranks.keys()) {
      const [into, of] = [target.parts[rank], source.parts[rank]];
      if (into && of) this.#asked(rank, (engine) => engine.copy(into, firstRow, { ...from, tensor: of }));
    }
  }

  async uploadWeight(source: WeightRows, layout: WeightLayout): Promise<GroupWeight> {
    this.#alive();
    const { rank: only, dtype: format } = source.spec;
    const parts: (DeviceWeight | null)[] = this.#ranks.map(() => null);
    try {
      for (const [rank, one] of this.#ranks.entries()) {
        const isHere = one && (only === undefined || only === rank);
        const upload = (engine: Engine) => engine.uploadWeight(source, layout);
        if (isHere) parts[rank] = await this.#askedLater(rank, upload);
        this.#alive();
      }
    } catch (error) {
      if (!this.#end) this.#freeParts(parts);
      throw error;
    }
    const { rows, cols } = source;
    return this.#memory.add(new GroupWeight({ format, layout, rows, cols }, parts));
  }

  load(program: VerifiedProgram, weights: ReadonlyMap<string, DeviceWeight>): Executable {
    this.#alive();
    const names = new Set(loadedPrograms(program).flatMap((part) => part.weights.map(({ name }) => name)));
    const held = [...weights].flatMap(([name, weight]) =>
      names.has(name) ? [[name, this.#memory.weight(weight)] as const] : [],
    );
    const parts = rankPrograms(program, this.#ranks.length).map((own, rank) => {
      if (!this.#ranks[rank] || own.instructions.length === 0) return null;
      const ofRank = held.flatMap(([name, { parts }]) => (parts[rank] ? [[name, parts[rank]] as const] : []));
      return this.#asked(rank, (engine) => engine.load(own, new Map(ofRank)));
    });
    return new GroupExecutable(
      program,
      this.#memory,
      held.map(([, weight]) => weight),
      parts,
    );
  }

  bind(executable: Executable, resident: Residents): void {
    const own = this.#own(executable);
    checkResidents(own.program, resident, (tensor) => this.#memory.tensor(tensor));
    for (const [rank, part] of own.parts.entries()) {
      if (!part) continue;
      const ofRank = own.bindingsOf(rank, resident) as Residents;
      this.#asked(rank, (engine) => engine.bind(part, ofRank));
    }
    own.resident = { ...resident };
  }

  async run(executable: Executable, bindings: RunBindings, options: RunOptions = {}): Promise<void> {
    const own = this.#own(executable);
    own.checkHeld(bindings.buffers);
    const { ofRanks, filled } = own.shared(bindings);
    await this.#runRanks(own, [bindings], ofRanks, options);
    if (this.#others) await this.#others.fillOutputs(own.programs, bindings, filled);
  }

  reserve(executable: Executable, symbols: SymbolValues, onDevice: readonly string[]): void {
    for (const [rank, part] of this.#own(executable).parts.entries()) {
      if (part) this.#asked(rank, (engine) => engine.reserve?.(part, symbols, onDevice));
    }
  }

  /** Ranks that run something keep what they have. */
  trim(): void {
    this.#alive();
    for (const [rank, one] of this.#ranks.entries()) {
      if (one?.runs === 0) this.#asked(rank, (engine) => engine.trim?.());
    }
  }

  dispose(): void {
    this.#close(new GlimtError("DISPOSED", "The engine was disposed of."));
  }

  #runEach(
    executable: Executable,
    bindings: ReadonlyMap<number, RunBindings>,
    options: RunOptions = {},
  ): Promise<void> {
    const loaded = this.#own(executable);
    const ofRanks = loaded.parts.map((part, rank) => {
      const own = bindings.get(rank);
      if (own) loaded.checkHeld(own.buffers);
      return part && own ? { ...own, buffers: loaded.bindingsOf(rank, own.buffers) } : null;
    });
    return this.#runRanks(loaded, bindings.values(), ofRanks, options);
  }

  async #spread(to: DeviceTensor, firstRow: number, from: DeviceRows, rank: number): Promise<void> {
    this.#alive();
    const target = this.#memory.tensor(to);
    const source = this.#memory.tensor(from.tensor);
    checkCopy(target, firstRow, from);
    const part = source.parts[rank];
    const own = target.parts[rank];
    if (own && part) this.#asked(rank, (engine) => engine.copy(own, firstRow, { ...from, tensor: part }));
    const elsewhere = target.places.some((place, other) => other !== rank && place !== null);
    if (!elsewhere) return;
    const here = part ? await this.#readPart(rank, part, from.firstRow, from.rows) : null;
    if (here) this.#count(rank, { operations: 1, bytes: here.byteLength });
    const has = target.places.map((_, other) => other === rank);
    const { dtype, cols } = source;
    const data = this.#others ? await this.#others.share(has, dtype, from.rows, cols, here) : here;
    this.#alive();
    for (const [other, into] of target.parts.entries()) {
      if (into && other !== rank) {
        this.#asked(other, (engine) => engine.write(into, firstRow, data as HostArray));
      }
    }
  }

  /** One run on all ranks that have bindings. @param given what they are made of */
  async #runRanks(
    { program, parts }: GroupExecutable,
    given: Iterable<RunBindings>,
    bindings: Parts<RunBindings>,
    { signal, onProgress }: RunOptions,
  ): Promise<void> {
    this.#alive();
    throwIfAborted(signal);
    if (this.backend.newGroup) this.#reserveRun(parts, bindings);
    const mail = this.#others?.openMail() ?? new RunMail(this.#shape);
    const stop = new AbortController();
    let failure: { readonly error: unknown } | undefined;
    const endRun = (error: unknown) => {
      failure ??= { error };
      mail.fail(error);
      stop.abort(error);
    };
    const abort = () => {
      try {
        throwIfAborted(signal);
      } catch (error) {
        endRun(error);
      }
    };
    const liveness = this.#livenessOf(bindings);
    const seen = () => {
      liveness.seen();
      this.#others?.alive();
    };
    const shares = bindings.map((own): number => (own ? 0 : 1));
    const report = (rank: number, share: number) => {
      // Who is asked where he stands may stand still.
      if (share !== shares[rank]) seen();
      shares[rank] = share;
      onProgress?.(shares.reduce((sum, each) => sum + each, 0) / shares.length);
    };
    const runs = this.#ranks.map((rank, index) => {
      const [part, own] = [parts[index], bindings[index]];
      if (!rank || !part || !own) return undefined;
      const begin = async () => {
        if (failure) return;
        seen();
        await rank.engine.run(part, own, {
          signal: stop.signal,
          onProgress: (share) => report(index, share),
          communicator: mail.communicator(index),
        });
      };
      // An engine that queues runs has them at once: where one rank has begun, all must have.
      const run = rank.engine.overlappingRuns === undefined ? rank.last.then(begin) : begin();
      rank.runs++;
      rank.last = run
        .catch((error) => endRun(error))
        .finally(() => {
          rank.runs--;
        });
      return rank.last;
    });
    const ends = this.#others?.agree(
      askedOf(program, given),
      Promise.all(runs).then(() => failure?.error),
      endRun,
    );
    liveness.begin();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await new Promise<void>((resolve) => {
        this.#underWay.set(mail, resolve);
        Promise.all([...runs, ends]).then(() => resolve());
      });
    } finally {
      signal?.removeEventListener("abort", abort);
      liveness.end();
      this.#underWay.delete(mail);
      this.#others?.closeMail(mail);
      for (const rank of this.#ranks.keys()) this.#count(rank, mail.trafficOf(rank));
    }
    if (this.#end) throw this.#end;
    if (failure) throw this.#judged(failure.error);
  }

  /**
   * Ranks that reach one another by themselves can not leave a run that others are in: what is short is known before.
   * @throws OUT_OF_MEMORY
   */
  #reserveRun(parts: Parts<Executable>, bindings: Parts<RunBindings>): void {
    for (const [rank, own] of bindings.entries()) {
      const part = parts[rank];
      if (!part || !own) continue;
      const bound = Object.entries(own.buffers).filter(([, binding]) => !ArrayBuffer.isView(binding));
      const onDevice = bound.map(([name]) => name);
      this.#asked(rank, (engine) => engine.reserve?.(part, own.symbols, onDevice));
    }
  }

  #readPart(rank: number, part: DeviceTensor, firstRow: number, rows: number): Promise<HostArray> {
    return this.#askedLater(rank, (engine) => engine.read(part, firstRow, rows));
  }

  /** What a rank answers outside of runs. */
  #asked<Answer>(rank: number, ask: (engine: Engine) => Answer): Answer {
    try {
      return ask(this.#engineOf(rank));
    } catch (error) {
      throw this.#judgedAnswer(error);
    }
  }

  async #askedLater<Answer>(rank: number, ask: (engine: Engine) => Promise<Answer>): Promise<Answer> {
    try {
      return await ask(this.#engineOf(rank));
    } catch (error) {
      throw this.#judgedAnswer(error);
    }
  }

  /** A rank that is gone, or whose device is, ends the group; what else it refuses is the caller's. */
  #judgedAnswer(error: unknown): unknown {
    if (this.#end) return this.#end;
    const code = error instanceof GlimtError ? error.code : undefined;
    return code === "DISPOSED" || code === "DEVICE_FAILED" ? this.#judged(error) : error;
  }

  /** What a caller is told of a run that failed; the group ends with what no caller can mend. */
  #judged(error: unknown): unknown {
    const code = error instanceof GlimtError ? error.code : undefined;
    // What a callback of the caller's threw is no error of ours.
    if (code === undefined || MENDABLE.has(code)) return error;
    this.#close(
      code === "GROUP_FAILED"
        ? (error as GlimtError)
        : new GlimtError("GROUP_FAILED", `A rank of the group failed: ${(error as Error).message}`, {
            cause: error,
          }),
    );
    return this.#end;
  }

  #standstill(deadlineMs: number): GlimtError {
    const waits = [...this.#underWay.keys()].flatMap((mail) => mail.waits);
    const what = waits.length > 0 ? waits.join(", ") : "no rank waits for another";
    return new GlimtError(
      "GROUP_FAILED",
      `No rank of the group has made progress for ${deadlineMs} ms: ${what}. Load the model again.`,
    );
  }

  #livenessOf(bindings: Parts<RunBindings>): Liveness {
    const { stages, encoders } = this.#liveness;
    return bindings.findIndex((own) => own !== null) < stageRankCount(this.#shape) ? stages : encoders;
  }

  #close(reason: GlimtError): void {
    if (this.#end) return;
    this.#end = reason;
    for (const liveness of Object.values(this.#liveness)) liveness.stop();
    for (const [mail, endWaiting] of this.#underWay) {
      mail.fail(reason);
      endWaiting();
    }
    this.#others?.close(reason);
    for (const engine of this.#engines) engine.dispose();
  }

  #count(rank: number, { operations, bytes }: Traffic): void {
    const sum = this.#traffic[rank] as { operations: number; bytes: number };
    sum.operations += operations;
    sum.bytes += bytes;
  }

  /** Those of this process. */
  get #engines(): Engine[] {
    return this.#ranks.flatMap((rank) => (rank ? [rank.engine] : []));
  }

  #engineOf(rank: number): Engine {
    return (this.#ranks[rank] as Rank).engine;
  }

  #freeParts(parts: Parts<DeviceTensor | DeviceWeight>): void {
    for (const [rank, part] of parts.entries()) if (part) this.#asked(rank, (engine) => engine.free(part));
  }

  /** @throws INPUT_INVALID for a tensor of which ranks have different columns */
  #whole(tensor: DeviceTensor, done: string): GroupTensor {
    const owned = this.#memory.tensor(tensor);
    if (!owned.isSplit) return owned;
    throw new GlimtError(
      "INPUT_INVALID",
      `The tensor ${owned.dtype}[${owned.rows}, ${owned.cols}] is split over the ranks of the group and can not be ${done}.`,
    );
  }

  #own(executable: Executable): GroupExecutable {
    this.#alive();
    if (executable instanceof GroupExecutable && executable.memory === this.#memory) return executable;
    throw new GlimtError("PROGRAM_INVALID", "The program was loaded by another engine.");
  }

  #alive(): void {
    if (this.#end) throw this.#end;
  }
}
