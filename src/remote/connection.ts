/** The page's side of a worker: calls of its models, until the last of them is disposed of or the worker ends. */
import { abortError, GlimtError } from "../errors.ts";
import { readOnce, shown } from "../given.ts";
import type { GenerationResult } from "../serving/run-result.ts";
import { packError, unpackError } from "../workers/messages.ts";
import { fillCopies } from "./fill-copies.ts";
import { type Packing, pack } from "./pack.ts";
import type { Called, FromWorker, ModelPort, RemoteFacts, RemoteState, ToWorker } from "./protocol.ts";
import { RunInbox } from "./run-inbox.ts";

/** Who holds a model of the worker's. */
export interface Listener {
  hear(state: RemoteState): void;
  /** The worker has ended. */
  lose(error: GlimtError): void;
}

export interface Loaded {
  readonly facts: RemoteFacts;
  readonly state: RemoteState;
}

interface Pending {
  readonly model: number;
  readonly callbacks: readonly Callback[];
  readonly signals: readonly AbortSignal[];
  readonly inbox?: RunInbox;
  /** What a function of the caller's threw. */
  thrown?: { readonly error: unknown };
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** Takes listeners from signals; those of a run go when nobody reads it. */
  leave?(): void;
}

interface Callback {
  readonly name: string;
  readonly call: (...args: never[]) => unknown;
}

interface Unsent extends Packing {
  readonly id: number;
  readonly message: ToWorker;
}

export interface ConnectionOptions {
  /** What relative addresses are relative to. */
  readonly base?: () => string | undefined;
  /** Ends the worker. */
  readonly close: () => void;
}

export class ModelConnection {
  readonly #port: ModelPort;
  readonly #options: ConnectionOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #models = new Map<number, Listener>();
  /** Calls that are not on their way yet, in the order of their being made. */
  readonly #unsent: Unsent[] = [];
  #isSending = false;
  #lastId = 0;
  #end: GlimtError | undefined;

  constructor(port: ModelPort, options: ConnectionOptions) {
    this.#port = port;
    this.#options = options;
    port.onmessage = ({ data }: { readonly data: FromWorker }) => this.#hear(data);
    port.unref?.();
  }

  /** @throws what loading does, and DEVICE_FAILED when the worker ends meanwhile */
  load(model: number, location: unknown, options: unknown): Promise<Loaded> {
    const message = { type: "load", model } as const;
    return this.#send(++this.#lastId, message, [location, options]) as Promise<Loaded>;
  }

  call(model: number, method: Called, args: readonly unknown[]): Promise<unknown> {
    return this.#send(++this.#lastId, { type: "call", model, method }, args);
  }

  /** A run, which begins at once. @param onAbort told when a signal of its options fires */
  run(model: number, args: readonly unknown[], onAbort: (reason: unknown) => void): RunInbox {
    const id = ++this.#lastId;
    const inbox = new RunInbox({
      read: (count) => this.#post({ type: "more", id, count }),
      leave: () => this.#leave(id),
    });
    const result = this.#send(id, { type: "run", model }, args, { inbox, onAbort });
    result.then(
      (result) => inbox.end({ result: result as GenerationResult }),
      (error) => inbox.end({ error }),
    );
    return inbox;
  }

  /** Until `forget`. */
  listen(model: number, listener: Listener): void {
    this.#models.set(model, listener);
  }

  /** Ends calls of a model that is gone, should some be left. */
  forget(model: number, error: GlimtError): void {
    this.#models.delete(model);
    for (const [id, pending] of [...this.#pending]) if (pending.model === model) this.#settle(id, { error });
  }

  /** Ends the worker, when nobody needs it. */
  close(): void {
    this.#options.close();
  }

  /** The worker has ended: everything under way, and all that follows, is this error. */
  end(error: GlimtError): void {
    if (this.#end) return;
    this.#end = error;
    for (const id of [...this.#pending.keys()]) this.#settle(id, { error });
    for (const { lose } of [...this.#models.values()]) lose(error);
    this.#port.close();
  }

  async #send(
    id: number,
    head: { readonly type: "load" | "call" | "run"; readonly model: number; readonly method?: Called },
    args: readonly unknown[],
    run?: { readonly inbox: RunInbox; onAbort(reason: unknown): void },
  ): Promise<unknown> {
    if (this.#end) throw this.#end;
    const callbacks: Callback[] = [];
    const signals: AbortSignal[] = [];
    const packing = pack(args, {
      function: (call, name) => callbacks.push({ call, name }) - 1,
      // One of the call's own: Node warns where a signal is listened to more than ten times.
      signal: (signal) => signals.push(AbortSignal.any([signal])) - 1,
    });
    const aborts = signals.map((signal, index) => ({
      signal,
      tell: () => {
        if (this.#pending.has(id)) this.#abort(id, index);
        run?.onAbort(signal.reason);
      },
    }));
    const leave = () => {
      for (const { signal, tell } of aborts) signal.removeEventListener("abort", tell);
    };
    // Behind the end of a run in the worker its events may still be read.
    if (run) run.inbox.onLeft = leave;
    const message = { ...head, id, args: packing.packed, base: this.#options.base?.() } as ToWorker;
    return new Promise((resolve, reject) => {
      const pending = { model: head.model, callbacks, signals, resolve, reject };
      this.#pending.set(id, run ? { ...pending, inbox: run.inbox } : { ...pending, leave });
      this.#port.ref?.();
      this.#unsent.push({ ...packing, id, message });
      this.#sendAll();
      for (const [index, { signal, tell }] of aborts.entries()) {
        if (signal.aborted) this.#abort(id, index);
        else signal.addEventListener("abort", tell, { once: true });
      }
    });
  }

  /** Those that nothing large stands before are sent at once; the others in their order, and copied one at a time. */
  async #sendAll(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    for (let next = this.#unsent[0]; next; next = this.#unsent[0]) {
      const { id, copies } = next;
      try {
        const isWanted = () => this.#pending.has(id);
        const isWhole = copies.length === 0 || (await fillCopies(copies, isWanted));
        if (isWhole && isWanted()) this.#postCall(next);
      } catch (error) {
        this.#settle(id, { error });
      }
      this.#unsent.shift();
    }
    this.#isSending = false;
  }

  #abort(id: number, signal: number): void {
    if (!this.#giveUp(id)) this.#post({ type: "abort", id, signal });
  }

  /** Nobody reads on. */
  #leave(id: number): void {
    if (!this.#giveUp(id)) this.#post({ type: "leave", id });
  }

  /** Ends a call that is not on its way yet. */
  #giveUp(id: number): boolean {
    if (!this.#unsent.some((unsent) => unsent.id === id)) return false;
    const fired = this.#pending.get(id)?.signals.find(({ aborted }) => aborted);
    this.#settle(id, { error: abortError(fired) });
    return true;
  }

  /** @throws INPUT_INVALID for what can not be copied */
  #postCall({ message, transfer }: Unsent): void {
    try {
      this.#port.postMessage(message, [...transfer]);
    } catch (cause) {
      throw new GlimtError(
        "INPUT_INVALID",
        `Something of it can not be copied to the worker that the model is in (${(cause as Error).message}); load the model ` +
          "with worker: false to keep it on this thread.",
        { cause },
      );
    }
  }

  #post(message: ToWorker): void {
    if (!this.#end) this.#port.postMessage(message);
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case "callback":
        this.#reply(message.id, () => this.#callBack(message));
        break;
      case "state":
        this.#models.get(message.model)?.hear(message.state);
        break;
      default:
        this.#hearOf(message);
    }
  }

  #hearOf(message: Exclude<FromWorker, { readonly type: "callback" | "state" }>): void {
    const { id, state } = message;
    const pending = this.#pending.get(id);
    if (!pending) return;
    if (state) this.#models.get(pending.model)?.hear(state);
    if (message.type === "event") pending.inbox?.put(message.event);
    else if (message.type === "result") this.#settle(id, { result: message.result });
    else if (message.type === "loaded") this.#settle(id, { result: message satisfies Loaded });
    else this.#settle(id, { error: withReason(unpackError(message.error), pending.signals) });
  }

  async #callBack(message: Extract<FromWorker, { readonly type: "callback" }>): Promise<unknown> {
    const pending = this.#pending.get(message.call);
    const callback = pending?.callbacks[message.callback];
    if (!pending || !callback) return undefined;
    try {
      return await callback.call(...(message.args as never[]));
    } catch (error) {
      // Who is told of progress ends the work by throwing; who is asked, as `sources`, has said no.
      if (callback.name.startsWith("on")) pending.thrown ??= { error };
      throw error;
    }
  }

  async #reply(id: number, work: () => Promise<unknown>): Promise<void> {
    try {
      this.#post({ type: "reply", id, result: await work() });
    } catch (error) {
      this.#post({ type: "reply", id, error: packError(error) });
    }
  }

  #settle(id: number, end: { readonly result: unknown } | { readonly error: unknown }): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    pending.leave?.();
    if (this.#pending.size === 0) this.#port.unref?.();
    if (pending.thrown) pending.reject(pending.thrown.error);
    else if ("error" in end) pending.reject(end.error);
    else pending.resolve(end.result);
  }
}

/** Of an abort the caller's own reason, which stays on this thread. */
function withReason(error: Error, signals: readonly AbortSignal[]): Error {
  if (!(error instanceof GlimtError) || error.code !== "ABORTED") return error;
  const fired = signals.find(({ aborted }) => aborted);
  return fired ? new GlimtError("ABORTED", error.message, { cause: fired.reason }) : error;
}

/** @throws OPTION_INVALID for options that are no object, or that can not be read */
export function readOption<T>(options: unknown, name: string): T | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== "object" || options === null) {
    throw new GlimtError("OPTION_INVALID", `loadModel: expected an object, found ${shown(options)}.`);
  }
  const value = readOnce(name, () => options[name as never] as T | null | undefined, "OPTION_INVALID");
  return value ?? undefined;
}
