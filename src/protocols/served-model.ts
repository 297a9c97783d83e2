/** What answers: a `Model`, or whatever has its methods, such as several of them behind a router. */
import type { Model } from "../api/model.ts";

export type ServedModel = Pick<
  Model,
  | "generate"
  | "complete"
  | "process"
  | "plan"
  | "stats"
  | "tokenize"
  | "detokenize"
  | "adapters"
  | "loadAdapter"
  | "unloadAdapter"
  | "config"
>;
