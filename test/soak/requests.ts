/** What strangers ask. */
import type { GenerateOptions, Message } from "../../src/index.ts";

/** A question, and what is known of its answer before it is asked. */
export interface Question {
  readonly messages: readonly Message[];
  readonly options: GenerateOptions;
  /** The code of the error that it must end with; null for one that is answered. */
  readonly refused: string | null;
}

const WORDS = ["Text Recognition:", "Table Recognition:", "What is it?", "Again, please.", "Hello"];

const picture = (shade: number, width: number, height: number) => ({
  data: Uint8Array.from({ length: 3 * width * height }, (_, index) => (index * shade) % 251),
  width,
  height,
});

/** Uniform whole numbers below `count`, the same ones for a seed. */
export type Draw = (count: number) => number;

export function seededDraw(seed: number): Draw {
  let state = seed >>> 0;
  return (count) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
}

/** Few enough that many are asked again: caches are hit, and what they say alone is found once. */
export function questions(count: number, draw: Draw): Question[] {
  return Array.from({ length: count }, (_, index) => (index % 8 === 7 ? wrong(draw) : right(draw)));
}

function right(draw: Draw): Question {
  const content: Exclude<Message["content"], string | null | undefined>[number][] = [];
  for (let image = draw(3); image > 0; image--) {
    content.push({ type: "image", image: picture(1 + draw(6), 56 + 28 * draw(4), 56 + 28 * draw(3)) });
  }
  const text = (WORDS[draw(WORDS.length)] as string).repeat(1 + draw(2) * draw(24));
  content.push({ type: "text", text });
  return {
    messages: [{ role: "user", content }],
    options: { ...choice(draw), ...guessing(draw) },
    refused: null,
  };
}

/** No answer is another for it. */
function guessing(draw: Draw): Pick<GenerateOptions, "speculation"> {
  const speculation = ([undefined, "mtp", "lookup"] as const)[draw(3)];
  return speculation ? { speculation } : {};
}

function choice(draw: Draw): GenerateOptions {
  const maxTokens = 1 + draw(24);
  const sampled = { maxTokens, temperature: 0.5 + draw(4) / 2, seed: draw(5) };
  const kinds: GenerateOptions[] = [
    { maxTokens },
    { maxTokens, repetitionPenalty: 1.2 },
    sampled,
    { ...sampled, topK: 20 },
    { ...sampled, topP: 0.8, minP: 0.01 },
    { maxTokens, adapters: ["a"] },
    { ...sampled, n: 1 + draw(3), logprobs: true, topLogprobs: draw(4) },
    { ...sampled, presencePenalty: 0.5, frequencyPenalty: 1, logitBias: { 5: 4, 7: -100 } },
    { maxTokens, minTokens: 1 + draw(maxTokens), badWords: ["e", "the"], stop: "a" },
    { ...sampled, allowedTokenIds: [3, 5, 8, 13, 21, 34], repetitionDetection: true },
    { maxTokens, thinkingBudget: draw(4), ignoreEos: true, priority: draw(3) - 1 },
    { ...sampled, structured: { choice: ["yes", "no", "perhaps"] } },
    { ...sampled, structured: { regex: "[a-c]{1,9}" }, priority: draw(3) },
    { maxTokens, structured: { jsonSchema: { type: "object", properties: { a: { type: "boolean" } } } } },
    { maxTokens, cacheSalt: `caller ${draw(2)}` },
  ];
  return kinds[draw(kinds.length)] as GenerateOptions;
}

function wrong(draw: Draw): Question {
  const text = { type: "text", text: "?" } as const;
  const ask = (part: unknown, options: unknown, refused: string): Question => ({
    messages: [{ role: "user", content: [part as typeof text, text] }],
    options: options as GenerateOptions,
    refused,
  });
  const image = (source: unknown) => ({ type: "image", image: source });
  const kinds = [
    ask(image(Uint8Array.of(137, 80, 78, 71, 1, 2, 3)), { maxTokens: 2 }, "IMAGE_INVALID"),
    ask(image({ data: new Uint8Array(5), width: 56, height: 56 }), {}, "IMAGE_INVALID"),
    ask(text, { maxTokens: -1 }, "OPTION_INVALID"),
    ask(text, { adapters: ["nobody"] }, "OPTION_INVALID"),
    ask(text, { structured: { regex: "(" } }, "OPTION_INVALID"),
    ask(text, { structured: { jsonSchema: { type: "sound" } } }, "OPTION_INVALID"),
    ask(text, { minTokens: 9, maxTokens: 3 }, "OPTION_INVALID"),
    ask({ type: "text", text: "long ".repeat(40_000) }, {}, "CONTEXT_OVERFLOW"),
    ask({ type: "sound" }, {}, "INPUT_INVALID"),
  ];
  return kinds[draw(kinds.length)] as Question;
}
