/** The stages of a model with a set of adapters: programs of their own, the model's weights, and the adapters'. */
import type { DeviceWeight } from "../backends/backend.ts";
import { type Adapter, adapterRows } from "../checkpoint/adapter.ts";
import { compileGraph, DEFAULT_PASSES } from "../compiler/compile.ts";
import { type ActiveAdapter, applyAdapters } from "../compiler/passes/apply-adapters.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { loadedPrograms, weightLayouts } from "../program/weights.ts";
import type { CompiledStage } from "./compile-stages.ts";
import { type Stages, withSignal } from "./open-stages.ts";
import { joinDrafting, openRunners, releaseRunners, runnersOf, type StageRunners } from "./stage-runners.ts";

export interface AdapterInSet extends ActiveAdapter {
  readonly adapter: Adapter;
}

export interface AdaptedStages extends StageRunners {
  /** Frees what no other set needs. */
  close(): void;
}

interface Held {
  readonly weight: DeviceWeight;
  users: number;
}

/** Opens sets of adapters. A matrix that several sets need is on the device once. Calls must not overlap. */
export class AdaptedStagesOpener {
  readonly #stages: Stages;
  readonly #held = new Map<string, Held>();
  readonly #open = new Set<Partial<StageRunners>>();

  constructor(stages: Stages) {
    this.#stages = stages;
  }

  /** @throws OUT_OF_MEMORY, WEIGHTS_INVALID, CHECKPOINT_INVALID, ABORTED; nothing stays allocated then. */
  async open(adapters: readonly AdapterInSet[], signal?: AbortSignal): Promise<AdaptedStages> {
    const changed = this.#compile(adapters);
    const taken: string[] = [];
    try {
      for (const { program } of changed) await this.#take(program, adapters, taken, signal);
      const own = openRunners(changed, this.#weights(), this.#stages);
      this.#open.add(own);
      // A stage that no adapter changes runs the model's own program.
      const runners = { ...runnersOf(this.#stages), ...own };
      if (own.decoder) joinDrafting(runners);
      return {
        ...runners,
        close: () => {
          this.#open.delete(own);
          releaseRunners(own);
          this.#giveBack(taken.splice(0));
        },
      };
    } catch (error) {
      this.#giveBack(taken);
      throw error;
    }
  }

  /** Frees what the runners of open sets allocated for themselves. */
  releaseRunners(): void {
    for (const runners of this.#open) releaseRunners(runners);
  }

  /** The stages that an adapter changes; the decoder too where the layer that drafts with it is changed alone. */
  #compile(adapters: readonly AdapterInSet[]): CompiledStage[] {
    const { stages, compile } = this.#stages;
    const pass = applyAdapters(adapters);
    const passes = [pass, ...(compile.passes ?? DEFAULT_PASSES)];
    const names = stages.filter(({ graph }) => pass.run(graph) !== graph).map(({ name }) => name);
    return stages
      .filter(({ name }) => names.includes(name) || (name === "decoder" && names.includes("drafting")))
      .map((stage) => ({
        ...stage,
        program: compileGraph(stage.graph, { ...compile, passes, partition: stage.partition }),
      }));
  }

  async #take(
    program: VerifiedProgram,
    adapters: readonly AdapterInSet[],
    taken: string[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const spec of loadedPrograms(program).flatMap(({ weights }) => weights)) {
      const from = adapters.find(({ id }) => id === spec.origin);
      if (!from) continue;
      const known = this.#held.get(spec.name);
      const held = known ?? (await this.#upload(program, spec, from.adapter, signal));
      held.users++;
      taken.push(spec.name);
    }
  }

  async #upload(
    program: VerifiedProgram,
    spec: WeightSpec,
    adapter: Adapter,
    signal: AbortSignal | undefined,
  ): Promise<Held> {
    const layout = weightLayouts(program).get(spec.name) ?? "plain";
    const weight = await this.#stages.engine.uploadWeight(
      withSignal(adapterRows(adapter, spec), signal),
      layout,
    );
    const held = { weight, users: 0 };
    this.#held.set(spec.name, held);
    return held;
  }

  #giveBack(names: readonly string[]): void {
    for (const name of names) {
      const held = this.#held.get(name);
      if (!held || --held.users > 0) continue;
      this.#held.delete(name);
      this.#stages.engine.free(held.weight);
    }
  }

  #weights(): ReadonlyMap<string, DeviceWeight> {
    return new Map([
      ...this.#stages.weights,
      ...[...this.#held].map(([name, { weight }]) => [name, weight] as const),
    ]);
  }
}
