/** The workers that models live in: one for all that a page loads, as long as one of them is there. */
import type { Model } from "../api/model.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { CallErrors, TaskHost } from "../workers/task.ts";
import type { StartThread } from "../workers/thread.ts";
import { type PackageFile, startWorker } from "../workers/worker-tasks.ts";
import { ModelConnection, readOption } from "./connection.ts";
import type { ModelPort } from "./protocol.ts";
import { RemoteModel } from "./remote-model.ts";
import type { ServeModels } from "./serve-models.ts";

export interface ModelWorkersOptions {
  /** Ways to start a worker that serves models, best first. @param workerUrl where a copy of its file lies */
  readonly starts: (workerUrl: string | undefined) => readonly StartThread[];
  /** What the worker must say it is. */
  readonly version: string;
  /** Whether models live in a worker when nobody says anything. */
  readonly byDefault: () => boolean;
  /** Loads on this thread. @param limits why not in a worker, for `model.backend.limits` */
  readonly loadHere: (location: never, options: never, limits: readonly string[]) => Promise<Model>;
  /** What relative addresses are relative to, where there are such. */
  readonly base?: () => string | undefined;
  /** What the worker may ask for. */
  readonly file?: PackageFile;
}

/** A worker, from being started until its last model is gone. */
interface Place {
  readonly workerUrl: string | undefined;
  readonly connection: Promise<ModelConnection>;
  models: number;
}

/** Loading as callers see it: in a worker or here, as the option `worker` says. */
export class ModelWorkers {
  readonly #options: ModelWorkersOptions;
  readonly #places = new Map<string | undefined, Place>();
  /** Starts that have worked: these will again, so that a model does not move to this thread because memory is short. */
  readonly #proven = new Set<string | undefined>();
  #lastModel = 0;

  constructor(options: ModelWorkersOptions) {
    this.#options = options;
  }

  /** @throws what loading does; OPTION_INVALID for options that can not go to a worker */
  async load(location: unknown, given: object | undefined): Promise<Model> {
    const worker = readOption<unknown>(given, "worker");
    if (worker !== undefined && typeof worker !== "boolean") {
      throw new GlimtError("OPTION_INVALID", `worker is ${shown(worker)}, expected true or false.`);
    }
    if (!(worker ?? this.#options.byDefault())) return this.#loadHere(location, given, []);
    refuseWhatStaysHere(given);
    const workerUrl = this.#absolute(readOption<unknown>(given, "workerUrl"));
    const place = this.#place(workerUrl);
    let connection: ModelConnection;
    try {
      connection = await place.connection;
    } catch (error) {
      this.#leave(place);
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#proven.has(workerUrl)) {
        throw new GlimtError(
          "BACKEND_UNAVAILABLE",
          `Another worker could not be started (${reason}): memory may be short. Dispose of models that are not needed, or pass worker: false.`,
          { cause: error },
        );
      }
      return this.#loadHere(location, given, [
        `On the thread that loaded it, since no worker could be started (${reason})`,
      ]);
    }
    const number = ++this.#lastModel;
    const release = () => this.#leave(place);
    try {
      const options = workerUrl === undefined ? given : withUrl(given, workerUrl);
      return new RemoteModel(connection, number, await connection.load(number, location, options), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  #loadHere(location: unknown, options: unknown, limits: readonly string[]): Promise<Model> {
    return this.#options.loadHere(location as never, options as never, limits);
  }

  /** What is no address is left for its check. */
  #absolute(workerUrl: unknown): string | undefined {
    if (typeof workerUrl !== "string" && !(workerUrl instanceof URL)) return undefined;
    const base = this.#options.base?.();
    return URL.canParse(String(workerUrl), base) ? new URL(workerUrl, base).href : String(workerUrl);
  }

  #place(workerUrl: string | undefined): Place {
    const place = this.#places.get(workerUrl) ?? this.#open(workerUrl);
    place.models += 1;
    return place;
  }

  #open(workerUrl: string | undefined): Place {
    const connection = this.#connect(workerUrl, () => this.#close(place));
    const place = { workerUrl, connection, models: 0 };
    this.#places.set(workerUrl, place);
    return place;
  }

  /** Models that are loaded from now on get another worker. */
  #close(place: Place): void {
    if (this.#places.get(place.workerUrl) === place) this.#places.delete(place.workerUrl);
  }

  #leave(place: Place): void {
    place.models -= 1;
    if (place.models > 0) return;
    this.#close(place);
    place.connection.then(
      (connection) => connection.close(),
      () => undefined,
    );
  }

  async #connect(workerUrl: string | undefined, onEnd: () => void): Promise<ModelConnection> {
    const host = await this.#start(workerUrl);
    this.#proven.add(workerUrl);
    const { port1, port2 } = new MessageChannel();
    const { base } = this.#options;
    const close = () => host.end("it has no model any more");
    const connection = new ModelConnection(port1 as unknown as ModelPort, {
      ...(base && { base }),
      close,
    });
    // Its answer is that the worker has ended.
    const input = { port: port2 };
    host
      .call("serveModels", input, { transfer: [port2], keepsAlive: false, errors: ERRORS })
      .catch((error: GlimtError) => {
        onEnd();
        connection.end(error);
      });
    return connection;
  }

  async #start(workerUrl: string | undefined): Promise<TaskHost<ServeModels>> {
    const { version, file } = this.#options;
    let last: unknown = new Error("there are no workers here");
    for (const start of this.#options.starts(workerUrl)) {
      try {
        return await startWorker<ServeModels>(start, version, file);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }
}

/** @throws OPTION_INVALID for what only this thread has */
function refuseWhatStaysHere(given: object | undefined): void {
  const parallel = readOption<object>(given, "parallel");
  const held = [
    ["fetch", readOption(given, "fetch")],
    ["parallel.processes", parallel && typeof parallel === "object" && readOption(parallel, "processes")],
  ] as const;
  for (const [name, value] of held) {
    if (!value) continue;
    throw new GlimtError(
      "OPTION_INVALID",
      `${name} can not go to the worker that the model would be in; load it with worker: false, on this thread.`,
    );
  }
}

/** The address as the worker needs it, whatever its own is. */
function withUrl(given: object | undefined, workerUrl: string): object {
  const value = { value: workerUrl, enumerable: true };
  return Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(given ?? {}), workerUrl: value });
}

const ERRORS: CallErrors = {
  // It has no limit of time.
  late: (milliseconds) => new GlimtError("DEVICE_FAILED", `The worker took more than ${milliseconds} ms.`),
  died: (reason, cause) =>
    new GlimtError(
      "DEVICE_FAILED",
      `The worker that the model was in has ended (${reason}); load the model again.`,
      {
        cause,
      },
    ),
  failed: (cause) =>
    new GlimtError(
      "DEVICE_FAILED",
      "The worker that the model was to be in has failed; load the model again.",
      {
        cause,
      },
    ),
};
