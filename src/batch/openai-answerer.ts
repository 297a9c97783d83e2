/** Answers requests of OpenAI's API with a model, as its server would, without one. */

import type { Prompt } from "../api/model.ts";
import { type Asked, type AskedPolicy, type AskedPrompt, optionsWithin } from "../protocols/asked.ts";
import { problemOf, RequestError } from "../protocols/errors.ts";
import { readChatRequest } from "../protocols/openai/chat-request.ts";
import { type AnswerName, writeChatCompletion } from "../protocols/openai/chat-response.ts";
import { readCompletionRequest } from "../protocols/openai/completion-request.ts";
import { writeCompletion } from "../protocols/openai/completion-response.ts";
import { writeOpenaiError } from "../protocols/openai/errors.ts";
import { writeResponse } from "../protocols/openai/responses/response-object.ts";
import { readResponseRequest } from "../protocols/openai/responses/response-request.ts";
import type { ServedModel } from "../protocols/served-model.ts";
import { ServedNames } from "../server/served-names.ts";
import type { GenerationResult } from "../serving/run-result.ts";
import type { AnsweredLine, LineContext } from "./lines-run.ts";
import type { LineRequest, LineResponse } from "./request-line.ts";

/** A body that was read, and how its answer is written. */
interface ReadRequest {
  /** One, or one a prompt. */
  readonly asked: readonly Asked[];
  readonly idPrefix: string;
  /** Whether `write` needs the prompts' texts. */
  readonly echo?: boolean;
  write(results: readonly GenerationResult[], prompts: readonly string[], name: AnswerName): object;
}

/** By path of the API. */
const READERS: Readonly<Record<string, (body: unknown) => ReadRequest>> = {
  "/v1/chat/completions": (body) => {
    const asked = readChatRequest(body);
    return {
      asked: [asked],
      idPrefix: "chatcmpl-",
      write: ([result], _, name) => writeChatCompletion(result as GenerationResult, asked, name),
    };
  },
  "/v1/completions": (body) => ({
    ...readCompletionRequest(body),
    idPrefix: "cmpl-",
    write: writeCompletion,
  }),
  "/v1/responses": (body) => {
    const asked = readResponseRequest(body);
    return {
      asked: [asked],
      idPrefix: "resp_",
      write: ([result], _, name) => writeResponse(result as GenerationResult, asked, name),
    };
  },
};

/** Of the seed of a prompt to that of the next, as of answers to one there are at most so many. */
const SEEDS_A_PROMPT = 64;

export type OpenaiRequest = Pick<LineRequest, "url" | "body">;

export class OpenaiAnswerer {
  readonly #model: ServedModel;
  readonly #names: ServedNames;
  readonly #policy: AskedPolicy;

  constructor(model: ServedModel, name: string, policy: AskedPolicy) {
    this.#model = model;
    this.#names = new ServedNames(model, [name]);
    this.#policy = policy;
  }

  /** @throws RequestError, GlimtError: `failure` says what is answered then */
  async answer({ url, body }: OpenaiRequest, { id, seed, signal }: LineContext): Promise<AnsweredLine> {
    const read = Object.hasOwn(READERS, url) ? READERS[url] : undefined;
    if (!read) {
      const known = Object.keys(READERS).join(", ");
      throw new RequestError("notFound", `There is no ${url} here; a request is for ${known}.`, {
        param: "url",
      });
    }
    const { asked, idPrefix, echo = false, write } = read(body);
    if (asked.some(({ stream }) => stream)) {
      throw new RequestError("invalid", "stream must be false: the answer is written when it is whole.", {
        param: "stream",
      });
    }
    const { name, adapter } = this.#names.find(asked[0]?.model);
    const prompts = echo ? await Promise.all(asked.map(({ prompt }) => this.#textOf(prompt))) : [];
    const adapters = adapter === null ? {} : { adapters: [adapter] };
    const results = await Promise.all(
      asked.map(async (each, index) => {
        const own = { seed: seed + SEEDS_A_PROMPT * index, ...optionsWithin(each, this.#policy) };
        return this.#model.complete(await this.#promptOf(each.prompt, signal), {
          ...own,
          ...adapters,
          signal,
        });
      }),
    );
    const created = Math.floor(Date.now() / 1000);
    const total = (count: (result: GenerationResult) => number) =>
      results.reduce((sum, result) => sum + count(result), 0);
    return {
      status: 200,
      body: write(results, prompts, { id: idPrefix + id, model: name, created }),
      promptTokens: total(({ usage }) => usage.promptTokens),
      completionTokens: total(({ choices }) =>
        choices.reduce((sum, { usage }) => sum + usage.completionTokens, 0),
      ),
    };
  }

  async #promptOf(prompt: AskedPrompt, signal: AbortSignal): Promise<Prompt> {
    return "text" in prompt ? { inputIds: await this.#model.tokenize(prompt.text, { signal }) } : prompt;
  }

  async #textOf(prompt: AskedPrompt): Promise<string> {
    if ("text" in prompt) return prompt.text;
    return "inputIds" in prompt ? this.#model.detokenize(prompt.inputIds, { skipSpecialTokens: false }) : "";
  }

  failure(error: unknown): LineResponse {
    const problem = problemOf(error);
    return { status: problem.status, body: writeOpenaiError(problem) };
  }
}
