/** What is wrong with an option, said of the request's field that it came from. */
import { GENERATE_OPTION_NAMES } from "../serving/generation-options.ts";
import type { Problem } from "./errors.ts";

/** No fields of requests have these names, or what they are of has several. */
const NO_FIELDS = [
  "adapters",
  "attention",
  "checkpointSampling",
  "onProgress",
  "signal",
  "speculation",
  "structured",
];
const OPTIONS: ReadonlySet<string> = new Set(
  GENERATE_OPTION_NAMES.filter((name) => !NO_FIELDS.includes(name)),
);

/** @param others fields that are not the option's name with underscores */
export function inFields(problem: Problem, others: Readonly<Record<string, string>>): Problem {
  if (problem.code !== "option_invalid") return problem;
  const fieldOf = (option: string) =>
    others[option] ?? option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  // A message begins with the option; others that it names are told from its words by their capitals.
  const message = problem.message.replace(/^\w+|\b[a-z]+[A-Z]\w*\b/g, (word) =>
    OPTIONS.has(word) ? fieldOf(word) : word,
  );
  const [first = ""] = /^\w+/.exec(problem.message) ?? [];
  return { ...problem, message, param: problem.param ?? (OPTIONS.has(first) ? fieldOf(first) : null) };
}
