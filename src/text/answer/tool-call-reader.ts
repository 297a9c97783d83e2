/**
 * Reads one tool call as its tokens come, between `<tool_call>` and `</tool_call>`:
 *
 *   GLM-4.5, 4.6   NAME\n<arg_key>KEY</arg_key>\n<arg_value>VALUE</arg_value>…
 *   GLM-4.7        NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…, or NAME alone
 *
 * Each call of a method gives the JSON text of the arguments that became certain: text values as they come, others when
 * they are whole.
 */
import { valueJson } from "../python-json.ts";
import type { Mark, MarkToken } from "./markup.ts";
import type { TextParameters } from "./tool-schemas.ts";

export class ToolCallReader {
  readonly #textParameters: TextParameters;
  #state: "name" | "between" | "key" | "value" | "closed" = "name";
  /** Null until it is whole; "" is no name, and such a call is none. */
  #name: string | null = null;
  #key: string | null = null;
  #isText = false;
  /** Text of the name, key or value so far, when it is not streamed. */
  #text = "";
  #hasArguments = false;

  constructor(textParameters: TextParameters) {
    this.#textParameters = textParameters;
  }

  get name(): string | null {
    return this.#name;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether `<tool_call>` would begin another one here. */
  get takesCall(): boolean {
    return this.#state === "name" || this.#state === "between";
  }

  say(text: string): string {
    if (this.#state === "value" && this.#isText) return JSON.stringify(text).slice(1, -1);
    if (this.#state !== "between") this.#text += text;
    return "";
  }

  /** What has no meaning where it stands is text of the key or value that it stands in. */
  mark({ mark, text }: MarkToken): string {
    if (mark === "endCall") return this.close();
    switch (this.#state) {
      case "name":
        return mark === "key" ? this.#endName("{") + this.#begin("key") : "";
      case "between":
        return this.#markBetween(mark);
      case "key":
        if (mark !== "endKey" && mark !== "value") return this.say(text);
        this.#endKey();
        return mark === "value" ? this.#beginValue() : "";
      default:
        return mark === "endValue" ? this.#endValue() : this.say(text);
    }
  }

  /** The call ends here, though its name or a value may lack its end. */
  close(): string {
    const ending =
      this.#state === "name" ? this.#endName("{") : this.#state === "value" ? this.#endValue() : "";
    this.#state = "closed";
    return this.#name === "" ? "" : `${ending}}`;
  }

  #markBetween(mark: Mark): string {
    if (mark === "key") return this.#begin("key");
    return mark === "value" && this.#key !== null ? this.#beginValue() : "";
  }

  #begin(state: "key" | "value"): string {
    this.#state = state;
    this.#text = "";
    return "";
  }

  #endName(opening: string): string {
    // One line: what a model writes behind it belongs to nothing.
    this.#name = this.#text.trim().split("\n", 1)[0]?.trim() ?? "";
    return opening;
  }

  #endKey(): void {
    this.#key = this.#text.trim();
    this.#state = "between";
  }

  #beginValue(): string {
    this.#begin("value");
    const key = this.#key as string;
    this.#isText = this.#textParameters.get(this.#name as string)?.has(key) ?? false;
    return this.#isText ? `${this.#keyJson()}"` : "";
  }

  #endValue(): string {
    const json = this.#isText ? '"' : this.#keyJson() + valueJson(this.#text);
    this.#key = null;
    this.#state = "between";
    return json;
  }

  #keyJson(): string {
    const separator = this.#hasArguments ? ", " : "";
    this.#hasArguments = true;
    return `${separator}${JSON.stringify(this.#key)}: `;
  }
}
