/** An answer's parts from its whole text, by expressions over it: slow and obvious, the judge of the parser of streams. */
import { valueJson } from "../../src/text/python-json.ts";

/** Parameters that are texts, by the function's name. */
export type Texts = Readonly<Record<string, readonly string[]>>;

export interface SlowAnswer {
  readonly reasoning: string;
  readonly content: string;
  readonly boxed: string | null;
  readonly calls: readonly (readonly [name: string, json: string])[];
}

/** A mark is a token in brackets of its own: what is spelt in text has none. */
export const marked = (token: string) => `⟦${token}⟧`;
const pattern = (source: string, ...tokens: string[]) =>
  new RegExp(
    tokens.reduce((text, token) => text.replace("@", marked(token).replaceAll("|", "\\|")), source),
    "g",
  );
const CALL = pattern("@([\\s\\S]*?)@", "<tool_call>", "</tool_call>");
const PAIR = pattern(
  "@([\\s\\S]*?)@\\s*@([\\s\\S]*?)@",
  "<arg_key>",
  "</arg_key>",
  "<arg_value>",
  "</arg_value>",
);
const BOX_MARK = pattern("@|@", "<|begin_of_box|>", "<|end_of_box|>");
const BOUNDARY = pattern("(@|@|@|@|⟦call⟧)", "<think>", "</think>", "<answer>", "</answer>");
const withoutBrackets = (text: string) => text.replace(/[⟦⟧]/g, "");

/** @param text of an answer whose calls are closed. @param texts null: no tools were offered */
export function slowAnswer(text: string, texts: Texts | null, isThinking: boolean): SlowAnswer {
  const calls: [string, string][] = [];
  const withoutCalls = (isThinking ? marked("<think>") + text : text).replace(CALL, (whole, body: string) => {
    if (!texts) return whole;
    calls.push(slowCall(body, texts));
    return "⟦call⟧";
  });
  // Both as the whole with NUL for each boundary.
  const stretches = { reasoning: "", content: "" };
  let target: keyof typeof stretches = "content";
  let boxed: string | null = null;
  for (const piece of withoutCalls.split(BOUNDARY)) {
    if (piece.match(BOUNDARY)) {
      stretches.reasoning += "\0";
      stretches.content += "\0";
      // A call ends thinking that nobody closed.
      if (piece === marked("<think>")) target = "reasoning";
      else if (piece === marked("</think>") || piece === "⟦call⟧") target = "content";
      continue;
    }
    const boxes = target === "content" ? piece.split(marked("<|begin_of_box|>")).slice(1) : [];
    const last = boxes.at(-1)?.split(marked("<|end_of_box|>"))[0];
    if (last !== undefined) boxed = withoutBrackets(last);
    stretches[target] += withoutBrackets(piece.replace(BOX_MARK, ""));
  }
  return { reasoning: trimmed(stretches.reasoning), content: trimmed(stretches.content), boxed, calls };
}

/** Newlines at both ends go where they touch a boundary. */
function trimmed(text: string): string {
  const dropped = (newlines: string) => (newlines.includes("\0") ? "" : newlines);
  const start = /^[\n\0]*/.exec(text)?.[0] ?? "";
  if (start.length === text.length) return dropped(text);
  const end = /[\n\0]*$/.exec(text)?.[0] ?? "";
  const middle = text.slice(start.length, text.length - end.length).replaceAll("\0", "");
  return dropped(start) + middle + dropped(end);
}

function slowCall(body: string, texts: Texts): [string, string] {
  const [, name = "", rest = ""] = /^([^⟦]*)([\s\S]*)$/.exec(body) ?? [];
  const pairs = [...rest.matchAll(PAIR)].map(([, key = "", value = ""]) => {
    const plain = withoutBrackets(value.replace(BOX_MARK, ""));
    const isText = texts[name.trim()]?.includes(key.trim());
    return `${JSON.stringify(key.trim())}: ${isText ? JSON.stringify(plain) : valueJson(plain)}`;
  });
  return [name.trim(), `{${pairs.join(", ")}}`];
}
