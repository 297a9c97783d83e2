/** The tokens that part an answer: thinking, boxed answers, tool calls. What merely spells one of them is text. */
import type { Tokenizer } from "../tokenizer.ts";

export type Mark =
  | "think"
  | "endThink"
  | "box"
  | "endBox"
  | "frame"
  | "call"
  | "endCall"
  | "key"
  | "endKey"
  | "value"
  | "endValue";

const TEXTS: Readonly<Record<string, Mark>> = {
  "<think>": "think",
  "</think>": "endThink",
  "<|begin_of_box|>": "box",
  "<|end_of_box|>": "endBox",
  // GLM-4.1V's, around what is no thinking.
  "<answer>": "frame",
  "</answer>": "frame",
  "<tool_call>": "call",
  "</tool_call>": "endCall",
  "<arg_key>": "key",
  "</arg_key>": "endKey",
  "<arg_value>": "value",
  "</arg_value>": "endValue",
};
const OF_CALLS: ReadonlySet<Mark> = new Set(["call", "endCall", "key", "endKey", "value", "endValue"]);

export interface MarkToken {
  readonly mark: Mark;
  /** What it leaves in the text: nothing where it is special. */
  readonly text: string;
}

/** @param withCalls false: what marks tool calls is text */
export function markTokens(
  { idOf, isSpecial }: Pick<Tokenizer, "idOf" | "isSpecial">,
  withCalls: boolean,
): ReadonlyMap<number, MarkToken> {
  const tokens = new Map<number, MarkToken>();
  for (const [text, mark] of Object.entries(TEXTS)) {
    const id = idOf(text);
    if (id === null || (!withCalls && OF_CALLS.has(mark))) continue;
    tokens.set(id, { mark, text: isSpecial(id) ? "" : text });
  }
  return tokens;
}
