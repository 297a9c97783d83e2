/** What Ollama's requests say about an answer: `options`, `format`, `think`, and what both endpoints share. */
import { keptOr } from "../../json/kept.ts";
import type { ProcessOptions } from "../../prompt/process-options.ts";
import type { GenerateOptions } from "../../serving/generation-options.ts";
import type { StructuredOptions } from "../../serving/structured-options.ts";
import { RequestError } from "../errors.ts";
import type { Fields } from "../fields.ts";

/** How llama.cpp is to run, and what it says of samplers that are off. Requests can not say it here. */
const RUNNER_OPTIONS = [
  "draft_num_predict",
  "embedding_only",
  "f16_kv",
  "logits_all",
  "low_vram",
  "main_gpu",
  "mirostat_eta",
  "mirostat_tau",
  "num_batch",
  "num_ctx",
  "num_gpu",
  "num_keep",
  "num_thread",
  "numa",
  "use_mlock",
  "use_mmap",
  "vocab_only",
];
/** The model stays loaded; a conversation that is longer than the context is refused, not cut. */
const TAKEN = ["keep_alive", "shift", "truncate"];

export interface AnswerFields {
  readonly options: GenerateOptions & ProcessOptions;
  readonly stream: boolean;
}

/** @throws RequestError naming the field */
export function readAnswerFields(fields: Fields): AnswerFields {
  const logprobs = fields.boolean("logprobs") ?? false;
  const topLogprobs = fields.whole("top_logprobs");
  fields.pass(TAKEN);
  return {
    options: {
      ...readOptions(fields.fields("options")),
      enableThinking: readThink(fields),
      structured: readFormat(fields),
      ...(logprobs && { logprobs, topLogprobs }),
    },
    // Ollama streams where nothing is said.
    stream: fields.boolean("stream") ?? true,
  };
}

function readOptions(options: Fields | undefined): GenerateOptions {
  if (options === undefined) return {};
  const limit = options.whole("num_predict");
  if (limit === 0) throw options.wrong("num_predict", "a whole number from 1, or -1 for no limit");
  const stop =
    typeof options.any("stop") === "string" ? [options.string("stop") as string] : options.strings("stop");
  const read: GenerateOptions = {
    // Less than 0: until the end, or as far as the context goes.
    maxTokens: limit === undefined || limit < 0 ? undefined : limit,
    seed: readSeed(options),
    stop: stop && stop.length > 0 ? stop : undefined,
    temperature: options.number("temperature"),
    topK: options.whole("top_k"),
    topP: options.number("top_p"),
    minP: options.number("min_p"),
    repetitionPenalty: options.number("repeat_penalty"),
    presencePenalty: options.number("presence_penalty"),
    frequencyPenalty: options.number("frequency_penalty"),
  };
  options.pass(RUNNER_OPTIONS);
  options.refuse("repeat_last_n", "repeat_penalty looks at the whole context, which is -1.", [-1]);
  options.refuse("mirostat", "Use temperature and top_p.", [0]);
  options.refuse("tfs_z", "Use top_p.", [1]);
  options.refuse("typical_p", "Use top_p.", [1]);
  options.refuse("penalize_newline", "Penalties are of all tokens.", [true]);
  options.end();
  return read;
}

/** Ollama draws one for -1. */
function readSeed(options: Fields): number | undefined {
  const seed = options.whole("seed");
  return seed === -1 ? undefined : seed;
}

/** Templates know thinking and no thinking, and no levels of it. */
function readThink(fields: Fields): boolean | undefined {
  if (typeof fields.any("think") !== "string") return fields.boolean("think");
  fields.oneOf("think", ["low", "medium", "high", "max"]);
  return true;
}

function readFormat(fields: Fields): StructuredOptions | undefined {
  const format = fields.any("format");
  if (format === undefined || format === "") return undefined;
  if (format === "json") return { jsonSchema: { type: "object" } };
  if (typeof format === "string") {
    throw new RequestError(
      "invalid",
      `format is ${JSON.stringify(format)}, expected "json" or a JSON schema.`,
      {
        param: "format",
      },
    );
  }
  return { jsonSchema: keptOr(fields.object("format") as object) };
}
