/**
 * The engine's loop: requests under way ask for their next token here; when the engine is free, those that ask are
 * planned into one step (step-plan.ts), pictures are encoded for a while, and the step is run. Nobody is waited for but for
 * a turn of the event loop, in which those that read their last token come back. Where the tower has devices of its own, steps
 * go on while it runs.
 */
import { nextTask } from "../event-loop.ts";
import type { SequenceSlice, SliceAnswer } from "../runtime/decoder.ts";
import { isOutOfMemory } from "../runtime/out-of-memory.ts";
import type { StageRunners } from "../runtime/stage-runners.ts";
import { type AskOptions, Member } from "./member.ts";
import type { GenerationRequest } from "./request.ts";
import type { ModelStatistics } from "./statistics.ts";
import { type LackingMemory, Step } from "./step.ts";
import type { StepMemory } from "./step-memory.ts";
import { urgentOf, victimOf } from "./step-order.ts";
import { planStep, type StepLimits, type StepPlan } from "./step-plan.ts";

/** Runs a task while nothing else uses the engine. @throws DISPOSED */
export type RunAlone = (task: () => Promise<void>) => Promise<void>;

/** A request's place among those under way. */
export interface Place {
  /**
   * What comes of its next slice; behind admitting it and encoding its pictures, where that is not done.
   *
   * @throws ABORTED, at once; OUT_OF_MEMORY where there is none for it even alone; DISPOSED
   */
  next(options: AskOptions): Promise<SliceAnswer>;
  /** It ended: what it holds is given back, behind the step that it is in. May be called again. */
  leave(): void;
}

/** A run of the tower beside steps. */
class TowerRun {
  hasEnded = false;
  readonly ended: Promise<void>;
  #end: () => void = () => {};
  readonly #alone: Promise<void>;
  #standAlone: () => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#alone = new Promise((resolve) => {
      this.#standAlone = resolve;
    });
  }

  /** It has ended: what it made is to be brought to those that read it, when no step is under way. */
  untilAlone(): Promise<void> {
    this.hasEnded = true;
    this.#end();
    return this.#alone;
  }

  /** No step is under way from now on. */
  standAlone(): void {
    this.#standAlone();
  }
}

export class StepBatcher {
  readonly #run: RunAlone;
  readonly #memory: Pick<StepMemory, keyof StepMemory>;
  readonly #limits: StepLimits;
  /** In the order that they came. */
  readonly #members = new Set<Member>();
  /** Those that run now. */
  #running: Step | null = null;
  /** Told when somebody asks. */
  #onAsk: () => void = () => {};
  #steps = 0;
  #arrivals = 0;
  #isRunning = false;
  /** A run found no memory since the last request ended: who gave way does not come back beside those that go on. */
  #isShort = false;

  constructor(run: RunAlone, memory: Pick<StepMemory, keyof StepMemory>, limits: StepLimits) {
    this.#run = run;
    this.#memory = memory;
    this.#limits = limits;
  }

  get statistics(): Pick<ModelStatistics, "running" | "waiting" | "steps" | "preemptions"> {
    const running = this.#holders.length;
    const waiting = this.#members.size - running;
    return { running, waiting, steps: this.#steps, preemptions: this.#memory.preemptions };
  }

  /** A request is under way: until it leaves it may hold memory. @param priority lower comes first */
  join(request: GenerationRequest, stages: StageRunners, priority: number): Place {
    const member = new Member(request, stages, {
      priority,
      arrival: this.#arrivals++,
      step: this.#steps,
      prefillChunk: this.#limits.maxPromptTokens,
    });
    this.#members.add(member);
    return {
      next: (options) => {
        const answer = member.ask(options, this.#steps, () => this.#giveUp(member, null));
        this.#onAsk();
        if (!this.#isRunning) this.#runAll();
        return answer;
      },
      leave: () => this.#leave(member),
    };
  }

  get #asking(): Member[] {
    return [...this.#members].filter(({ isAsking }) => isAsking);
  }

  get #holders(): Member[] {
    return [...this.#members].filter(({ holdsPages }) => holdsPages);
  }

  #leave(member: Member): void {
    if (member.hasLeft) return;
    member.hasLeft = true;
    if (member.isBusy) return;
    this.#release(member);
  }

  #release(member: Member): void {
    this.#isShort = false;
    this.#members.delete(member);
    this.#memory.release(member);
  }

  /** Who asked hears of it at once; what runs with it goes on. */
  #giveUp(member: Member, error: unknown): void {
    member.fail(error);
    this.#running?.leave(member);
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true;
    while (this.#asking.length > 0) {
      try {
        await this.#run(() => this.#runTurn());
      } catch (error) {
        for (const member of this.#asking) member.fail(error);
      }
    }
    this.#isRunning = false;
  }

  async #runTurn(): Promise<void> {
    if (this.#asking.length < this.#members.size) await nextTask();
    const { encoding, shares } = this.#plan(this.#asking);
    if (!encoding?.stages.encoder.runsBeside) {
      if (encoding) await this.#encode(encoding);
      await this.#runStep(shares);
      return;
    }
    const tower = new TowerRun();
    const encoded = this.#encode(encoding, tower);
    await this.#runStep(shares);
    await this.#stepBeside(tower);
    tower.standAlone();
    await encoded;
  }

  /** Steps while the tower runs. Whose pictures would take memory of it waits until it has. */
  async #stepBeside(tower: TowerRun): Promise<void> {
    while (!tower.hasEnded) {
      const asked = new Promise<void>((resolve) => {
        this.#onAsk = resolve;
      });
      await nextTask();
      const asking = this.#asking.filter((member) => !member.isBusy && !member.takesPictures);
      const { shares } = this.#plan(asking);
      if (shares.length > 0) await this.#runStep(shares);
      else await Promise.race([tower.ended, asked]);
    }
  }

  #plan(asking: readonly Member[]): StepPlan<Member> {
    // Others may have computed what they are about to read.
    for (const member of asking) if (member.holdsPages) member.request.adoptPages();
    const requests = { asking, holders: this.#holders, isShort: this.#isShort };
    const plan = planStep(requests, this.#memory, this.#limits, this.#steps);
    for (const { candidate, error } of plan.refused) this.#end(candidate, error);
    return plan;
  }

  /** One that can not go on: its memory is there for the others from now on. */
  #end(member: Member, error: unknown): void {
    member.fail(isOutOfMemory(error) ? member.request.outgrown(error) : error);
    this.#leave(member);
  }

  /** @param tower where it runs beside steps */
  async #encode(member: Member, tower?: TowerRun): Promise<void> {
    try {
      await this.#whileBusy([member], () => this.#encodeWithMemory(member, tower));
    } catch (error) {
      if (isOutOfMemory(error)) this.#makeRoom({ member, error });
      else this.#giveUp(member, error);
    }
  }

  async #encodeWithMemory(member: Member, tower?: TowerRun): Promise<void> {
    try {
      await member.encode(tower && (() => tower.untilAlone()));
    } catch (error) {
      // Memory changes hands when no step is under way.
      await tower?.untilAlone();
      if (!isOutOfMemory(error) || !member.isAsking) throw error;
      this.#memory.trim();
      await member.encode();
    }
  }

  async #runStep(shares: StepPlan<Member>["shares"]): Promise<void> {
    const slices: [Member, SequenceSlice][] = [];
    for (const { candidate, tokens } of shares) {
      // While pictures of another were encoded it may have given up, or its pages to them.
      if (!candidate.isAsking || !candidate.holdsPages) continue;
      candidate.lastTurn = this.#steps;
      // One that can not be asked ends alone: the others would wait for ever.
      try {
        slices.push([candidate, candidate.request.nextSlice(tokens)]);
      } catch (error) {
        candidate.fail(error);
      }
    }
    const step = new Step(slices, (member, error) => this.#giveUp(member, error));
    this.#running = step;
    const lacking = await this.#whileBusy(step.members, () => this.#runWithMemory(step));
    this.#running = null;
    for (const lack of lacking) this.#makeRoom(lack);
    this.#steps++;
  }

  async #runWithMemory(step: Step): Promise<LackingMemory[]> {
    try {
      if ((await step.run()).length === 0) return [];
      // Before anything is given up that is kept for later.
      if (step.dropGuesses() && (await step.run()).length === 0) return [];
      this.#memory.trim();
      return await step.run();
    } catch (error) {
      for (const member of step.members) this.#giveUp(member, error);
      return [];
    }
  }

  /** A run found no memory, though there were pages: somebody gives way, or it ends. */
  #makeRoom({ member, error }: LackingMemory): void {
    // Of several that lacked it, one may have given way to another: it waits.
    if (member.hasLeft || !member.isAsking || !member.holdsPages) return;
    const holders = this.#holders;
    const isAlone = holders.length === 1;
    const victim = isAlone ? null : victimOf(holders, urgentOf(this.#asking, this.#steps));
    if (victim) {
      this.#memory.preempt(victim);
      this.#isShort = true;
    } else if (isAlone && !member.hasStartedOver && this.#memory.startOver(member)) {
      member.hasStartedOver = true;
    } else if (!isAlone || !member.request.giveBackFeatures()) {
      this.#end(member, error);
    }
  }

  /** What ends in the meantime gives its memory back afterwards. */
  async #whileBusy<R>(members: readonly Member[], task: () => Promise<R>): Promise<R> {
    for (const member of members) member.isBusy = true;
    try {
      return await task();
    } finally {
      for (const member of members) {
        member.isBusy = false;
        if (member.hasLeft) this.#release(member);
      }
    }
  }
}
