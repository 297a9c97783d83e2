/** Calls as Ollama tells them: each at once, its arguments an object. */
import { readKeptJson } from "../../json/kept.ts";
import type { ToolCallDelta } from "../../text/answer/parts.ts";

export interface OllamaToolCall {
  readonly id: string;
  readonly function: { readonly index: number; readonly name: string; readonly arguments: object };
}

interface GrowingCall {
  readonly id: string;
  readonly name: string;
  arguments: string;
}

export class OllamaCalls {
  #told = 0;
  #calls: GrowingCall[] = [];

  add(call: GrowingCall): void {
    this.#calls.push({ ...call });
  }

  push({ index, id, name, arguments: text }: ToolCallDelta): void {
    const call = this.#calls[index - this.#told];
    if (call) call.arguments += text;
    else this.add({ id, name: name ?? "", arguments: text });
  }

  /** Those that another one follows. */
  takeWhole(): OllamaToolCall[] {
    return this.#take(this.#calls.length - 1);
  }

  /** Those that are left, but for one that the answer's end cut off: nobody can run it. */
  take(): OllamaToolCall[] {
    return this.#take(this.#calls.length);
  }

  #take(count: number): OllamaToolCall[] {
    const first = this.#told;
    const calls = this.#calls.splice(0, Math.max(0, count));
    this.#told += calls.length;
    return calls.flatMap(({ id, name, arguments: text }, index) => {
      const parsed = parsedObject(text);
      return parsed ? [{ id, function: { index: first + index, name, arguments: parsed } }] : [];
    });
  }
}

function parsedObject(text: string): object | null {
  try {
    return readKeptJson(text) as object;
  } catch {
    return null;
  }
}
