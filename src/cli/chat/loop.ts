/** Takes one text after the other until the chat ends. */
import { GlimtError } from "../../errors.ts";
import { reportError } from "../report.ts";
import { type Chat, mayGoOn } from "./chat.ts";
import { Lines } from "./lines.ts";

const [PROMPT, MORE] = ["> ", "... "];
/** Begins and ends a text of several lines. */
const FENCE = '"""';
/** Of a process that Ctrl-C ended. */
const INTERRUPTED = 130;

export interface LoopParts {
  readonly chat: Chat;
  /** What is to be answered before anything is typed. */
  readonly first: () => Promise<void>;
  readonly say: (text: string) => void;
  /** Fires when the process is told to end. */
  readonly signal: AbortSignal;
}

/** @throws what goes wrong where nobody is there to try something else: piped lines end with the first error */
export async function runChat({ chat, first, say, signal }: LoopParts): Promise<void> {
  let isWarned = false;
  const lines = new Lines({
    input: process.stdin,
    output: process.stdout,
    onInterrupt: () => {
      const found = chat.stop();
      if (found === "stopping") process.exit(INTERRUPTED);
      if (found === "answering") return;
      if (lines.typed !== "") lines.drop();
      else if (isWarned) lines.close();
      else {
        isWarned = true;
        say("\nCtrl-C once more ends the chat.");
        lines.again();
      }
    },
  });
  signal.addEventListener("abort", () => lines.close());
  const tried = async (task: () => Promise<boolean>) => {
    try {
      return await task();
    } catch (error) {
      if (!lines.isTerminal || signal.aborted || !mayGoOn(error)) throw error;
      reportError(error, { json: false, trace: false });
      return true;
    }
  };
  try {
    await tried(() => first().then(() => true));
    for (let goesOn = true; goesOn; ) {
      const text = await nextText(lines);
      if (text === null) break;
      isWarned = false;
      goesOn = await tried(() =>
        text.isPlain ? chat.ask(text.text).then(() => true) : chat.take(text.text),
      );
    }
  } finally {
    lines.close();
  }
  if (signal.aborted) throw new GlimtError("ABORTED", "The chat was interrupted.");
}

/** Null behind the last. `isPlain`: it is no command whatever it begins with. */
async function nextText(lines: Lines): Promise<{ readonly text: string; readonly isPlain: boolean } | null> {
  const first = await lines.next(PROMPT);
  if (first === null) return null;
  if (first.trimStart().startsWith(FENCE)) return fenced(first.trimStart().slice(FENCE.length), lines);
  let text = first;
  while (text.endsWith("\\")) {
    const more = await lines.next(MORE);
    text = `${text.slice(0, -1)}\n${more ?? ""}`;
    if (more === null) break;
  }
  return { text, isPlain: false };
}

async function fenced(first: string, lines: Lines): Promise<{ text: string; isPlain: true }> {
  let text = first;
  while (!text.trimEnd().endsWith(FENCE)) {
    const more = await lines.next(MORE);
    if (more === null) return { text: text.trim(), isPlain: true };
    text += `\n${more}`;
  }
  return { text: text.trimEnd().slice(0, -FENCE.length).trim(), isPlain: true };
}
