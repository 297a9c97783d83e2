/** What all requests of a server share. */
import type { Asked } from "../protocols/asked.ts";
import type { Problem } from "../protocols/errors.ts";
import type { ServedModel } from "../protocols/served-model.ts";
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import { Admission } from "./admission.ts";
import type { ResolvedOptions } from "./options.ts";
import { RequestBodies } from "./request-body.ts";
import type { RequestScope } from "./request-scope.ts";
import { ServedNames } from "./served-names.ts";

/** Hears of one answer; what it throws is an error of the server's. */
export interface AnswerObserver {
  /** It is its turn. */
  began?(): void;
  event?(event: GenerationEvent): void;
  /** Once, with how it ended; null: it was left, or failed as the problem says. */
  ended?(result: GenerationResult | null, problem: Problem | null): void;
}

export class ServerContext {
  readonly model: ServedModel;
  readonly names: ServedNames;
  readonly options: ResolvedOptions;
  readonly admission: Admission;
  readonly bodies: RequestBodies;
  /** Asked for each answer, when its request was read. */
  readonly observers: ((asked: Asked, name: string) => AnswerObserver)[] = [];
  /** Under way, to the last byte of their responses. */
  readonly requests = new Set<RequestScope>();

  constructor(model: ServedModel, options: ResolvedOptions) {
    this.model = model;
    this.options = options;
    this.names = new ServedNames(model, options.names);
    this.admission = new Admission({ places: options.limits.concurrency, line: options.limits.queue });
    this.bodies = new RequestBodies(options.limits);
  }
}
