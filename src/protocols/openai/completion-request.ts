/** POST /v1/completions: texts or token ids that the model goes on with, without a chat's template. */
import type { Asked, AskedPrompt } from "../asked.ts";
import { RequestError } from "../errors.ts";
import { Fields } from "../fields.ts";
import { answerForm } from "./answer-form.ts";
import { type StreamUsage, streamUsage } from "./chat-request.ts";
import { definedOnly, limitOf, samplingFields } from "./sampling-fields.ts";

export interface CompletionAsked {
  /** A request a prompt, in their order; all but the prompt is the same. */
  readonly asked: readonly Asked[];
  readonly usage: StreamUsage;
  readonly stream: boolean;
  /** Whether texts begin with their prompts. */
  readonly echo: boolean;
}

/** Of one request: each is an answer of its own, or several. */
const MOST_PROMPTS = 128;

/** @throws RequestError naming the field */
export function readCompletionRequest(body: unknown): CompletionAsked {
  const fields = new Fields(body);
  const prompts = promptsOf(fields);
  const model = fields.string("model");
  const stream = fields.boolean("stream") ?? false;
  const usage = streamUsage(fields, stream);
  const echo = fields.boolean("echo") ?? false;
  const top = fields.whole("logprobs");
  if (echo && top !== undefined) {
    throw new RequestError("invalid", "echo tells no logprobs of the prompt: leave one of them out.", {
      param: "echo",
    });
  }
  fields.refuse("suffix", "Nothing is filled in between two texts.", [""]);
  fields.refuse("add_special_tokens", "The prompt's tokens are its own: send ids for others.", [true]);
  fields.refuse("prompt_embeds", "Send a text or token ids.");
  const options = {
    // OpenAI's own default.
    maxTokens: limitOf(fields, "max_tokens") ?? 16,
    ...samplingFields(fields),
    ...definedOnly({ structured: answerForm(fields) }),
    ...(top !== undefined && { logprobs: true, topLogprobs: top }),
  };
  fields.end();
  const asked = prompts.map((prompt) => ({ prompt, options, model, stream }));
  return { asked, usage, stream, echo };
}

function promptsOf(fields: Fields): readonly AskedPrompt[] {
  const given = fields.any("prompt");
  if (given === undefined) throw fields.missing("prompt");
  if (typeof given === "string") return [{ text: given }];
  const list = Array.isArray(given) ? (given as unknown[]) : [];
  if (list.length > MOST_PROMPTS) throw fields.wrong("prompt", `at most ${MOST_PROMPTS} prompts`);
  if (list.length > 0 && list.every(isToken)) return [{ inputIds: list as number[] }];
  const prompts = list.flatMap((item): AskedPrompt[] => {
    if (typeof item === "string") return [{ text: item }];
    return Array.isArray(item) && item.length > 0 && item.every(isToken) ? [{ inputIds: item }] : [];
  });
  if (prompts.length > 0 && prompts.length === list.length) return prompts;
  throw fields.wrong("prompt", "a text, token ids, or a list of either");
}

function isToken(value: unknown): boolean {
  return Number.isSafeInteger(value);
}
