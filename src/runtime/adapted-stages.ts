/** The stages of a model with a set of adapters: programs of their own, the model's weights, and the adapters'. */
import type { DeviceTensor } from "../backends/backend.ts";
import { type Adapter, adapterRows } from "../checkpoint/adapter.ts";
import { compileGraph, DEFAULT_PASSES } from "../compiler/compile.ts";
import { type ActiveAdapter, applyAdapters } from "../compiler/passes/apply-adapters.ts";
import type { ModelConfig } from "../config/types.ts";
import type { Graph } from "../graph/graph.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { Decoder } from "./decoder.ts";
import type { Stages } from "./open-stages.ts";
import { VisionEncoder } from "./vision-encoder.ts";

export interface AdapterInSet extends ActiveAdapter {
  readonly adapter: Adapter;
}

export interface AdaptedStages {
  readonly encoder: VisionEncoder;
  readonly decoder: Decoder;
  /** Frees what no other set needs. */
  close(): void;
}

interface Held {
  readonly tensor: DeviceTensor;
  users: number;
}

/** Opens sets of adapters. A matrix that several sets need is on the device once. Calls must not overlap. */
export class AdaptedStagesOpener {
  readonly #stages: Stages;
  readonly #config: ModelConfig;
  readonly #held = new Map<string, Held>();

  constructor(stages: Stages, config: ModelConfig) {
    this.#stages = stages;
    this.#config = config;
  }

  /** @throws OUT_OF_MEMORY, WEIGHTS_INVALID, CHECKPOINT_INVALID; nothing stays allocated then. */
  async open(adapters: readonly AdapterInSet[]): Promise<AdaptedStages> {
    const { engine, graphs, pool, slab, encoder, decoder } = this.#stages;
    const vision = this.#compile(graphs.vision, adapters);
    const text = this.#compile(graphs.decoder, adapters);
    const taken: string[] = [];
    try {
      for (const program of [vision, text]) await this.#take(program, adapters, taken);
      const executable = (program: VerifiedProgram) => engine.load(program, this.#weights());
      const ownEncoder =
        vision && new VisionEncoder(engine, executable(vision), this.#config.vision, slab, encoder.budgets);
      const ownDecoder = text && new Decoder(engine, executable(text), this.#config.text, pool, slab);
      return {
        // A part that no adapter changes runs the model's own program.
        encoder: ownEncoder ?? encoder,
        decoder: ownDecoder ?? decoder,
        close: () => {
          ownEncoder?.release();
          ownDecoder?.release();
          this.#giveBack(taken.splice(0));
        },
      };
    } catch (error) {
      this.#giveBack(taken);
      throw error;
    }
  }

  #compile(graph: Graph, adapters: readonly AdapterInSet[]): VerifiedProgram | null {
    const pass = applyAdapters(adapters);
    if (pass.run(graph) === graph) return null;
    const { compile } = this.#stages;
    return compileGraph(graph, { ...compile, passes: [pass, ...(compile.passes ?? DEFAULT_PASSES)] });
  }

  async #take(
    program: VerifiedProgram | null,
    adapters: readonly AdapterInSet[],
    taken: string[],
  ): Promise<void> {
    for (const spec of program?.weights ?? []) {
      const from = adapters.find(({ id }) => id === spec.origin);
      if (!program || !from) continue;
      const held = this.#held.get(spec.name) ?? (await this.#upload(program, spec, from.adapter));
      held.users++;
      taken.push(spec.name);
    }
  }

  async #upload(program: VerifiedProgram, spec: WeightSpec, adapter: Adapter): Promise<Held> {
    const role = program.buffers.find(({ name }) => name === spec.name)?.role ?? "data";
    const tensor = await this.#stages.engine.uploadWeight(adapterRows(adapter, spec), role);
    const held = { tensor, users: 0 };
    this.#held.set(spec.name, held);
    return held;
  }

  #giveBack(names: readonly string[]): void {
    for (const name of names) {
      const held = this.#held.get(name);
      if (!held || --held.users > 0) continue;
      this.#held.delete(name);
      this.#stages.engine.free(held.tensor);
    }
  }

  #weights(): ReadonlyMap<string, DeviceTensor> {
    return new Map([
      ...this.#stages.weights,
      ...[...this.#held].map(([name, { tensor }]) => [name, tensor] as const),
    ]);
  }
}
