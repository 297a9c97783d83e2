/** vLLM's /tokenize and /detokenize. */
import type { Message, ProcessOptions } from "../prompt/process-options.ts";
import { RequestError } from "./errors.ts";
import { Fields } from "./fields.ts";
import { readChatRequest } from "./openai/chat-request.ts";

/** Of a text: its ids, each with its text, are one answer that is made at once. */
const MOST_LETTERS = 2 ** 20;

interface TokenizeBase {
  readonly model: string | undefined;
  /** The text of each token is told, too. */
  readonly withTexts: boolean;
}

/** A text, or a conversation as it is given to the model. */
export type TokenizeRequest = TokenizeBase &
  (
    | { readonly text: string; readonly addSpecialTokens: boolean }
    | { readonly prompt: readonly Message[]; readonly options: ProcessOptions }
  );

/** @throws RequestError naming the field */
export function readTokenizeRequest(body: unknown): TokenizeRequest {
  const fields = new Fields(body);
  const withTexts = fields.boolean("return_token_strs") ?? false;
  if (fields.any("messages") !== undefined) return { ...conversation(fields, body as object), withTexts };
  const text = fields.string("prompt");
  const model = fields.string("model");
  const addSpecialTokens = fields.boolean("add_special_tokens") ?? true;
  fields.end();
  if (text === undefined) {
    throw new RequestError("invalid", "prompt is missing: give a text, or messages.", { param: "prompt" });
  }
  if (text.length > MOST_LETTERS) throw fields.wrong("prompt", `a text of at most ${MOST_LETTERS} letters`);
  return { model, text, addSpecialTokens, withTexts };
}

/** Read as a chat is, of which it has the fields that make the prompt. */
function conversation(fields: Fields, body: object) {
  if (fields.any("prompt") !== undefined) {
    throw new RequestError("invalid", "prompt and messages exclude each other.", { param: "prompt" });
  }
  const { return_token_strs: _, ...chat } = body as Record<string, unknown>;
  const { model, prompt, options } = readChatRequest(chat);
  const { tools, enableThinking, continueFinalMessage, templateVariables } = options;
  const { maxFrames, videoFps } = options;
  return {
    model,
    prompt: prompt as readonly Message[],
    options: { tools, enableThinking, continueFinalMessage, templateVariables, maxFrames, videoFps },
  };
}

export interface DetokenizeRequest {
  readonly model: string | undefined;
  readonly tokens: readonly number[];
}

/** @throws RequestError naming the field */
export function readDetokenizeRequest(body: unknown): DetokenizeRequest {
  const fields = new Fields(body);
  const tokens = fields.wholes("tokens");
  const model = fields.string("model");
  fields.end();
  if (tokens === undefined) throw fields.missing("tokens");
  return { model, tokens };
}

export function tokenizeResponse(
  tokens: readonly number[],
  texts: readonly string[] | null,
  contextLength: number,
): object {
  return { count: tokens.length, max_model_len: contextLength, tokens, token_strs: texts };
}
