/**
 * The adapters of a loaded model. A request names the ones it wants; each set that is asked for gets programs of its
 * own, which are kept. Without a name no adapter is used, those merged into the weights apart.
 */
import { type Adapter, checkAdapterFits, openAdapter } from "../checkpoint/adapter.ts";
import type { OpenFiles } from "../checkpoint/location.ts";
import { mergeTargets } from "../checkpoint/merged-weight.ts";
import { type ModelPart, modelPart } from "../checkpoint/module-map.ts";
import { linearModules } from "../compiler/passes/apply-adapters.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { type AdaptedStages, AdaptedStagesOpener } from "../runtime/adapted-stages.ts";
import type { Stages } from "../runtime/open-stages.ts";
import { runnersOf, type StageRunners } from "../runtime/stage-runners.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import {
  type AdapterChoice,
  type AdapterSource,
  adapterChoices,
  readAdapterSource,
} from "./adapter-options.ts";

/** An adapter that is loaded or merged. */
export interface AdapterFacts {
  /** What requests call it. */
  readonly name: string;
  /** Where it was read from. */
  readonly location: string;
  /** Its strength, for requests that give none. */
  readonly scale: number;
  /** Part of the weights, and so of every answer. */
  readonly merged: boolean;
  /** Number of modules it changes. */
  readonly modules: number;
  /** The parts of the model that they are in. */
  readonly parts: readonly ModelPart[];
  /** The largest rank of its matrices. */
  readonly largestRank: number;
}

/** Stages to run a request on; to be released when it ends. */
export interface StagesLease extends StageRunners {
  /** What they compute with: of two leases of one model it is the same if and only if adapters and scales are. */
  readonly adapters: string;
  release(): Promise<void>;
}

export interface AdaptersOptions {
  readonly stages: Stages;
  readonly openFiles: OpenFiles;
  /** Those already part of the weights. */
  readonly merged: readonly AdapterFacts[];
  /** Runs a task while nothing else uses the engine. @throws DISPOSED */
  readonly run: <T>(task: () => Promise<T>) => Promise<T>;
}

interface Loaded {
  /** Differs from the name when one of that name was there before. */
  readonly id: string;
  readonly adapter: Adapter;
  readonly facts: AdapterFacts;
}

interface Wanted extends Loaded {
  readonly scale: number;
}

interface AdapterSet {
  readonly key: string;
  readonly members: readonly Loaded[];
  readonly opened: Promise<AdaptedStages>;
  /** Requests under way. */
  users: number;
  /** No longer to be found: closed when the last user leaves. */
  retired: boolean;
  /** Kept as long as its adapter is loaded. */
  readonly pinned: boolean;
}

/** Sets kept open besides those of one adapter at its own scale. */
const MOST_IDLE_SETS = 16;

export class Adapters {
  readonly #options: AdaptersOptions;
  readonly #opener: AdaptedStagesOpener;
  /** Null while one is being loaded. */
  readonly #loaded = new Map<string, Loaded | null>();
  /** Least recently used first. */
  readonly #sets = new Map<string, AdapterSet>();
  #count = 0;

  constructor(options: AdaptersOptions) {
    this.#options = options;
    this.#opener = new AdaptedStagesOpener(options.stages);
  }

  get facts(): readonly AdapterFacts[] {
    return [
      ...this.#options.merged,
      ...[...this.#loaded.values()].flatMap((loaded) => (loaded ? [loaded.facts] : [])),
    ];
  }

  /** Checks the adapter against the model and brings its matrices onto the device. */
  async load(given: AdapterSource, signal?: AbortSignal): Promise<void> {
    const source = readAdapterSource(given, ["name", "location", "scale"]);
    const { name, location, scale = 1 } = source;
    if (this.#loaded.has(name) || this.#isMerged(name)) {
      throw new GlimtError("OPTION_INVALID", `An adapter "${name}" is there already; unload it first.`);
    }
    this.#loaded.set(name, null);
    try {
      const adapter = await openAdapter(await this.#options.openFiles(location), signal);
      this.#checkFits(adapter);
      this.#count++;
      const id = this.#count === 1 ? name : `${name} (${this.#count})`;
      const loaded = { id, adapter, facts: adapterFacts(source, adapter, false) };
      await this.#set([{ ...loaded, scale }], true, signal).opened;
      this.#loaded.set(name, loaded);
    } catch (error) {
      this.#loaded.delete(name);
      throw error;
    }
  }

  /** Requests under way keep it; its memory goes when the last of them ends. */
  async unload(name: string): Promise<void> {
    const loaded = this.#find(name);
    this.#loaded.delete(name);
    for (const set of [...this.#sets.values()]) {
      if (set.members.some(({ id }) => id === loaded.id)) await this.#retire(set);
    }
  }

  /** Frees what the runners of adapters keep from step to step. Not while one of them runs. */
  releaseRunners(): void {
    this.#opener.releaseRunners();
  }

  /** @throws OPTION_INVALID for an adapter that is not there; OUT_OF_MEMORY */
  async acquire(choices: readonly AdapterChoice[] = []): Promise<StagesLease> {
    const wanted = this.#wanted(choices);
    if (wanted.length === 0)
      return { ...runnersOf(this.#options.stages), adapters: "", release: async () => {} };
    const set = this.#set(wanted, false);
    set.users++;
    const release = async () => {
      set.users--;
      if (set.retired && set.users === 0) await this.#close(set);
    };
    try {
      return { ...runnersOf(await set.opened), adapters: set.key, release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  #checkFits(adapter: Adapter): void {
    const { config, stages } = this.#options.stages;
    const graphs = stages.map(({ graph }) => graph);
    const modules = new Map(graphs.flatMap((graph) => [...linearModules(graph)]));
    const specs = graphs.flatMap(({ values }) =>
      values.flatMap(({ origin }) => (origin.kind === "weight" ? [origin.spec] : [])),
    );
    checkAdapterFits(adapter, config.architecture, modules, mergeTargets(specs));
  }

  /** So many leases at once: none of them finds an adapter unloaded that another found. @throws as `acquire` */
  async acquireAll(choices: readonly AdapterChoice[] | undefined, count: number): Promise<StagesLease[]> {
    const all = await Promise.allSettled(Array.from({ length: count }, () => this.acquire(choices)));
    const leases = all.flatMap((lease) => (lease.status === "fulfilled" ? [lease.value] : []));
    const failed = all.find((lease) => lease.status === "rejected");
    if (!failed) return leases;
    for (const lease of leases) await lease.release();
    throw failed.reason;
  }

  /** Sorted, so that the order in a request makes no other set; a scale of 0 is the same as not asking. */
  #wanted(choices: readonly AdapterChoice[]): Wanted[] {
    return adapterChoices(choices)
      .map(({ name, scale }) => {
        const loaded = this.#find(name);
        return { ...loaded, scale: scale ?? loaded.facts.scale };
      })
      .filter(({ scale }) => scale !== 0)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #set(wanted: readonly Wanted[], pinned: boolean, signal?: AbortSignal): AdapterSet {
    const key = JSON.stringify(wanted.map(({ id, scale }) => [id, scale]));
    const known = this.#sets.get(key);
    this.#sets.delete(key);
    const set = known ?? {
      key,
      members: wanted,
      opened: this.#open(wanted, signal),
      users: 0,
      retired: false,
      pinned,
    };
    this.#sets.set(key, set);
    if (!known) {
      set.opened.catch(() => {
        set.retired = true;
        if (this.#sets.get(key) === set) this.#sets.delete(key);
      });
      this.#makeRoom(set);
    }
    return set;
  }

  #open(wanted: readonly Wanted[], signal: AbortSignal | undefined): Promise<AdaptedStages> {
    // The type activations are computed in: the matrices are small, and lose nothing to it.
    const dtype = this.#options.stages.engine.backend.activationDType as WeightDType;
    return this.#options.run(() =>
      this.#opener.open(
        wanted.map(({ id, scale, adapter }) => ({ id, scale, adapter, dtype })),
        signal,
      ),
    );
  }

  #makeRoom(newest: AdapterSet): void {
    const idle = [...this.#sets.values()].filter((set) => !set.pinned && set.users === 0 && set !== newest);
    for (const set of idle.slice(0, Math.max(0, idle.length - MOST_IDLE_SETS))) {
      this.#retire(set).catch(() => undefined);
    }
  }

  async #retire(set: AdapterSet): Promise<void> {
    set.retired = true;
    this.#sets.delete(set.key);
    if (set.users === 0) await this.#close(set);
  }

  async #close(set: AdapterSet): Promise<void> {
    const opened = await set.opened.catch(() => null);
    if (!opened) return;
    try {
      await this.#options.run(async () => opened.close());
    } catch (error) {
      // A disposed model has freed everything.
      if (!(error instanceof GlimtError && error.code === "DISPOSED")) throw error;
    }
  }

  #find(name: string): Loaded {
    const loaded = this.#loaded.get(name);
    if (loaded) return loaded;
    if (this.#isMerged(name)) {
      throw new GlimtError(
        "OPTION_INVALID",
        `Adapter "${name}" is merged into the weights: it is always on and can not be unloaded.`,
      );
    }
    const names = this.facts.flatMap((facts) => (facts.merged ? [] : [facts.name]));
    const there = names.length === 0 ? "none is loaded" : `loaded are ${names.join(", ")}`;
    throw new GlimtError(
      "OPTION_INVALID",
      `There is no adapter ${shown(name)}; ${there}. Load it with loadAdapter.`,
    );
  }

  #isMerged(name: string): boolean {
    return this.#options.merged.some((facts) => facts.name === name);
  }
}

export function adapterFacts(
  { name, scale = 1 }: AdapterSource,
  { files, modules }: Adapter,
  merged: boolean,
): AdapterFacts {
  const all = [...modules.values()];
  const parts = new Set(all.flatMap(({ path }) => modelPart(path) ?? []));
  return {
    name,
    location: files.location,
    scale,
    merged,
    modules: all.length,
    parts: [...parts],
    largestRank: Math.max(...all.map(({ rank }) => rank)),
  };
}
