/** Requests of several kinds, and what of their answers company must not change. */
import type { GenerateOptions, GenerationResult, Message, Model } from "../../src/index.ts";

const image = (shade: number, width: number) => ({
  data: Uint8Array.from({ length: 3 * 56 * width }, (_, index) => (index * shade) % 251),
  width,
  height: 56,
});
export const chat = (text: string, shade?: number): Message[] => [
  {
    role: "user",
    content: [
      ...(shade ? [{ type: "image" as const, image: image(shade, 28 * (shade % 4) + 56) }] : []),
      { type: "text", text },
    ],
  },
];

const ALLOWED = Array.from({ length: 150 }, (_, token) => token);

export const REQUESTS: readonly (readonly [Message[], GenerateOptions])[] = [
  [chat("Text Recognition:", 3), { maxTokens: 12 }],
  [chat("Hello"), { maxTokens: 30, temperature: 2, seed: 5 }],
  [chat("What is it? ".repeat(9)), { maxTokens: 3, repetitionPenalty: 1.3 }],
  [chat("Table:", 7), { maxTokens: 20, temperature: 1, topK: 40, seed: 6 }],
  [chat("Again", 7), { maxTokens: 1 }],
  [chat("x"), { maxTokens: 25, temperature: 1.5, topP: 0.8, seed: 7 }],
  [
    chat("Say"),
    {
      maxTokens: 15,
      temperature: 1,
      seed: 8,
      presencePenalty: 0.7,
      frequencyPenalty: 0.3,
      logitBias: { 5: 3, 7: -100 },
      logprobs: true,
      topLogprobs: 3,
    },
  ],
  [chat("More"), { maxTokens: 12, minTokens: 6, badWords: ["a", "the"], allowedTokenIds: ALLOWED }],
];

export const facts = ({ tokenIds, text, finishReason, topLogits, logprobs }: GenerationResult) => ({
  tokenIds,
  text,
  finishReason,
  topLogits,
  logprobs,
});
/** All at once. */
export const answersTogether = (model: Model, speculation: GenerateOptions["speculation"] = "off") =>
  Promise.all(
    REQUESTS.map(async ([messages, options]) =>
      facts(await model.complete(messages, { ...options, speculation })),
    ),
  );

/** One after the other. */
export async function answersAlone(model: Model) {
  const answers = [];
  for (const [messages, options] of REQUESTS) answers.push(facts(await model.complete(messages, options)));
  return answers;
}
