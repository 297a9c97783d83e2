/** Parts of an answer, each of one kind. Their texts joined are the answer's text; what they say has no markup. */

/** What is said. */
export interface TextPartOfAnswer {
  /** Tells it from thinking and calls. */
  readonly type: "text";
  /** As it is in the answer. */
  readonly text: string;
  /** What is certain now of the content: newlines at its end wait for what follows. */
  readonly content: string;
  /** Whether it stands within a boxed answer. */
  readonly boxed: boolean;
}

/** What is thought. */
export interface ReasoningPart {
  /** Tells it from text and calls. */
  readonly type: "reasoning";
  /** As it is in the answer. */
  readonly text: string;
  /** What is certain now of the thinking. */
  readonly reasoning: string;
}

/** A piece of a call of a tool. */
export interface ToolCallPart {
  /** Tells it from text and thinking. */
  readonly type: "toolCall";
  /** As it is in the answer. */
  readonly text: string;
  /** Null while the call's name is not whole. */
  readonly toolCall: ToolCallDelta | null;
}

/** What became certain of a call. */
export interface ToolCallDelta {
  /** Of the answer's calls, from 0. */
  readonly index: number;
  /** The call's, the same in all of its deltas. */
  readonly id: string;
  /** Once, in the first delta of the call. */
  readonly name?: string;
  /** More of the JSON text of its arguments. */
  readonly arguments: string;
}

export type AnswerPart = TextPartOfAnswer | ReasoningPart | ToolCallPart;

/** The same with neighbours of one kind in one; those that hold nothing are left out while there are others. */
export function joinParts(parts: readonly AnswerPart[]): AnswerPart[] {
  const joined: AnswerPart[] = [];
  for (const part of parts) {
    const both = joined.length > 0 ? joinedPart(joined.at(-1) as AnswerPart, part) : null;
    if (both) joined[joined.length - 1] = both;
    else joined.push(part);
  }
  const full = joined.filter((part) => !isEmpty(part));
  return full.length > 0 ? full : joined.slice(-1);
}

function joinedPart(a: AnswerPart, b: AnswerPart): AnswerPart | null {
  const text = a.text + b.text;
  if (a.type === "text" && b.type === "text" && a.boxed === b.boxed) {
    return { ...a, text, content: a.content + b.content };
  }
  if (a.type === "reasoning" && b.type === "reasoning") {
    return { ...a, text, reasoning: a.reasoning + b.reasoning };
  }
  if (a.type !== "toolCall" || b.type !== "toolCall") return null;
  const [first, second] = [a.toolCall, b.toolCall];
  if (!first || !second) return { ...a, text, toolCall: first ?? second };
  if (first.index !== second.index) return null;
  return { ...a, text, toolCall: { ...first, arguments: first.arguments + second.arguments } };
}

function isEmpty(part: AnswerPart): boolean {
  if (part.text !== "") return false;
  if (part.type === "text") return part.content === "";
  if (part.type === "reasoning") return part.reasoning === "";
  return part.toolCall === null;
}
