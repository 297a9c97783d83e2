/** The worker's side: holds models, and does with them what the page asks for. */
import type { Model, Prompt } from "../api/model.ts";
import { setBaseAddress } from "../http/base-address.ts";
import type { ProcessedInputs } from "../prompt/processed-inputs.ts";
import type { GenerationRun } from "../serving/run.ts";
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import { packError, unpackError } from "../workers/messages.ts";
import { wholeBuffers } from "./buffers.ts";
import { unpack } from "./pack.ts";
import { withoutJoinedPixels } from "./processed.ts";
import {
  type FromWorker,
  MOST_EVENTS_AHEAD,
  type ModelPort,
  type RemoteFacts,
  type RemoteState,
  type ToWorker,
} from "./protocol.ts";

/** As an entry has it; what a caller gave comes unchecked. */
export type LoadHere = (location: never, options: never) => Promise<Model>;

type Message<Type extends ToWorker["type"]> = Extract<ToWorker, { readonly type: Type }>;

/** Milliseconds behind the end of a call, after which the page is told once more how things are. */
const SETTLING = 50;

interface Asked {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class ModelHost {
  readonly #port: ModelPort;
  readonly #load: LoadHere;
  readonly #models = new Map<number, Model>();
  /** Of calls under way: what fires when a signal of the caller's does. */
  readonly #signals = new Map<number, Map<number, AbortController>>();
  readonly #runs = new Map<number, Run>();
  readonly #watched = new Set<number>();
  readonly #asked = new Map<number, Asked>();
  #lastAsked = 0;

  /** @param load how the entry of this thread loads a model */
  constructor(port: ModelPort, load: LoadHere) {
    this.#port = port;
    this.#load = load;
    port.onmessage = ({ data }: { readonly data: ToWorker }) => this.#hear(data);
  }

  #hear(message: ToWorker): void {
    switch (message.type) {
      case "load":
        this.#answer(message, () => this.#loadModel(message));
        break;
      case "call":
        this.#answer(message, () => this.#call(message));
        break;
      case "run":
        this.#answer(message, () => this.#run(message));
        break;
      case "more":
        this.#runs.get(message.id)?.allow(message.count);
        break;
      case "leave":
        this.#runs.get(message.id)?.leave();
        break;
      case "abort":
        this.#signals.get(message.id)?.get(message.signal)?.abort();
        break;
      case "reply":
        this.#hearReply(message);
    }
  }

  #hearReply({ id, result, error }: Message<"reply">): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) asked?.reject(unpackError(error));
    else asked?.resolve(result);
  }

  async #answer(
    { id, model, base }: Message<"load" | "call" | "run">,
    work: () => Promise<void>,
  ): Promise<void> {
    if (base !== undefined) setBaseAddress(base);
    this.#signals.set(id, new Map());
    try {
      await work();
    } catch (error) {
      const held = this.#models.get(model);
      this.#port.postMessage({
        type: "error",
        id,
        error: packError(error),
        ...(held && { state: stateOf(held) }),
      });
    } finally {
      this.#signals.delete(id);
      this.#watch(model);
    }
  }

  /** What was given up leaves behind the step that runs: the page is told when it has. */
  #watch(number: number): void {
    if (this.#watched.has(number)) return;
    this.#watched.add(number);
    setTimeout(() => {
      this.#watched.delete(number);
      const model = this.#models.get(number);
      if (!model) return;
      const state = stateOf(model);
      this.#port.postMessage({ type: "state", model: number, state });
      if (state.stats && state.stats.running + state.stats.waiting > 0) this.#watch(number);
    }, SETTLING);
  }

  #arguments({ id, args }: Message<"load" | "call" | "run">): unknown[] {
    return unpack(args, {
      function: (callback) => this.#function(id, callback),
      signal: (signal) => {
        const controller = new AbortController();
        this.#signals.get(id)?.set(signal, controller);
        return controller.signal;
      },
    });
  }

  async #loadModel(message: Message<"load">): Promise<void> {
    const [location, options] = this.#arguments(message);
    const model = await this.#load(location as never, options as never);
    this.#models.set(message.model, model);
    this.#port.postMessage({
      type: "loaded",
      id: message.id,
      facts: factsOf(model),
      state: stateOf(model),
    });
  }

  async #call(message: Message<"call">): Promise<void> {
    const { id, method } = message;
    const model = this.#model(message);
    const call = model[method] as (...args: unknown[]) => Promise<unknown>;
    const given = await call.apply(model, this.#arguments(message));
    const result = method === "process" ? withoutJoinedPixels(given as ProcessedInputs) : given;
    if (method === "dispose") this.#models.delete(message.model);
    this.#port.postMessage({ type: "result", id, result, state: stateOf(model) }, wholeBuffers(result));
  }

  async #run(message: Message<"run">): Promise<void> {
    const { id } = message;
    const model = this.#model(message);
    const [prompt, options] = this.#arguments(message);
    const run = new Run(model.generate(prompt as Prompt, options as object | undefined));
    this.#runs.set(id, run);
    try {
      const result = await run.toEnd((event) =>
        this.#port.postMessage({ type: "event", id, event, state: stateOf(model) }),
      );
      this.#port.postMessage({ type: "result", id, result, state: stateOf(model) });
    } finally {
      this.#runs.delete(id);
    }
  }

  #model({ model }: { readonly model: number }): Model {
    // The page asks for none that it has not loaded.
    return this.#models.get(model) as Model;
  }

  /**
   * Stands for a function of the caller's. Where that threw, the next call of it throws the same, so that work whose
   * progress nobody wants to hear ends.
   */
  #function(call: number, callback: number): (...args: unknown[]) => Promise<unknown> {
    let thrown: Error | undefined;
    return (...args) => {
      if (thrown) throw thrown;
      const answer = this.#ask((id) => ({ type: "callback", id, call, callback, args }));
      answer.catch((error: Error) => {
        thrown = error;
      });
      return answer;
    };
  }

  #ask(message: (id: number) => FromWorker): Promise<unknown> {
    const id = ++this.#lastAsked;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#port.postMessage(message(id));
    });
  }
}

/** A run that sends no more events than its reader has room for. */
class Run {
  readonly #run: GenerationRun;
  #room = MOST_EVENTS_AHEAD;
  #goOn = () => {};

  constructor(run: GenerationRun) {
    this.#run = run;
  }

  allow(count: number): void {
    this.#room += count;
    this.#goOn();
  }

  leave(): void {
    this.#run.abort();
    this.#goOn();
  }

  /** @throws what ends the run; what it held is free then */
  async toEnd(send: (event: GenerationEvent) => void): Promise<GenerationResult> {
    try {
      for (;;) {
        const next = await this.#run.next();
        if (next.done) return next.value;
        send(next.value);
        this.#room -= 1;
        if (this.#room === 0) await this.#moreRoom();
      }
    } finally {
      await this.#run.return();
    }
  }

  #moreRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = resolve;
    });
  }
}

function factsOf(model: Model): RemoteFacts {
  const { dtype, config, processorConfig, refusedBackends } = model;
  const { loadMilliseconds, loaded, canThink, readsAnySource } = model;
  return {
    dtype,
    config,
    processorConfig,
    refusedBackends,
    loadMilliseconds,
    loaded,
    canThink,
    readsAnySource,
  };
}

function stateOf(model: Model): RemoteState {
  const { backend, liveBytes, adapters } = model;
  return { backend, liveBytes, adapters, stats: statsOf(model) };
}

function statsOf(model: Model) {
  try {
    return model.stats();
  } catch {
    return null;
  }
}
