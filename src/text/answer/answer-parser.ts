/**
 * An answer as its parts, told as its tokens come: reasoning, content with its boxed answer, tool calls. Every token is
 * looked at once. Only tokens are marks: a tag that is spelt in other tokens is text.
 */
import type { Tokenizer } from "../tokenizer.ts";
import { HeldNewlines } from "./held-newlines.ts";
import { type LexedPiece, MarkLexer } from "./mark-lexer.ts";
import { type MarkToken, markTokens } from "./markup.ts";
import { type AnswerPart, joinParts } from "./parts.ts";
import { ToolCallReader } from "./tool-call-reader.ts";
import type { TextParameters } from "./tool-schemas.ts";

export interface AnswerParserOptions {
  /** Of the functions that the prompt offers; null: none were offered, and what marks a call is text. */
  readonly tools: TextParameters | null;
  /** Whether the prompt left the thinking open. */
  readonly isThinking: boolean;
  /** A name for a call that no other has. */
  readonly newCallId: () => string;
}

/** One call of a tool. */
export interface AnsweredCall {
  /** Made up for the call, unlike those of others. */
  readonly id: string;
  /** Of the tool. */
  readonly name: string;
  /** JSON text of an object; of a call that the answer's end cut off, its beginning. */
  readonly arguments: string;
}

type GrowingCall = { -readonly [Key in keyof AnsweredCall]: AnsweredCall[Key] };

export class AnswerParser {
  readonly #lexer: MarkLexer;
  readonly #options: AnswerParserOptions;
  readonly #reasoningNewlines = new HeldNewlines();
  readonly #contentNewlines = new HeldNewlines();
  #isThinking: boolean;
  #call: ToolCallReader | null = null;
  /** Its place among the calls, from when it has one. */
  #callIndex: number | null = null;
  #isBoxed = false;
  #reasoning = "";
  #content = "";
  #boxed: string | null = null;
  readonly #calls: GrowingCall[] = [];

  constructor(tokenizer: Pick<Tokenizer, "bytesOf" | "idOf" | "isSpecial">, options: AnswerParserOptions) {
    this.#lexer = new MarkLexer(tokenizer, markTokens(tokenizer, options.tools !== null));
    this.#options = options;
    this.#isThinking = options.isThinking;
    if (options.isThinking) this.#bound();
  }

  /** Thinking, without its tags; "" where there was none. */
  get reasoning(): string {
    return this.#reasoning;
  }

  /** What is said beside thinking and calls, without markup. */
  get content(): string {
    return this.#content;
  }

  /** The text of the last box in the content; null where there was none. */
  get boxed(): string | null {
    return this.#boxed;
  }

  get toolCalls(): readonly AnsweredCall[] {
    return this.#calls.map((call) => ({ ...call }));
  }

  /**
   * @param text what became certain with these tokens
   * @returns its parts in order, at least one; their texts joined are `text`
   */
  push(tokens: readonly number[], text: string): AnswerPart[] {
    return joinParts([...this.#parts(this.#lexer.push(tokens, text)), this.#said("", "")]);
  }

  /** As `push` with the last tokens: what was held back is certain. */
  pushLast(tokens: readonly number[], text: string): AnswerPart[] {
    const parts = [...this.#parts(this.#lexer.push(tokens, text)), ...this.#parts(this.#lexer.end())];
    if (!this.#call && this.#isThinking)
      return joinParts([...parts, this.#reasoned("", this.#reasoningNewlines.end())]);
    return joinParts([...parts, this.#said("", ""), ...this.#contentEnd()]);
  }

  #contentEnd(): AnswerPart[] {
    const rest = this.#contentNewlines.end();
    return rest === "" ? [] : [this.#answered("", rest)];
  }

  #parts(pieces: readonly LexedPiece[]): AnswerPart[] {
    return pieces.flatMap(({ text, said, token }) =>
      token ? this.#marked(text, token) : [this.#said(text, said)],
    );
  }

  /** @param text of the answer. @param said what there is to read of it */
  #said(text: string, said: string): AnswerPart {
    if (this.#call) return this.#called(text, this.#call.say(said));
    if (this.#isThinking) return this.#reasoned(text, this.#reasoningNewlines.push(said));
    if (this.#isBoxed) this.#boxed += said;
    return this.#answered(text, this.#contentNewlines.push(said));
  }

  #marked(text: string, token: MarkToken): AnswerPart[] {
    if (this.#call) return this.#markedInCall(text, token, this.#call);
    switch (token.mark) {
      case "think":
        this.#bound();
        this.#isThinking = true;
        return [this.#reasoned(text, "")];
      case "endThink":
        this.#bound();
        this.#isThinking = false;
        return [this.#reasoned(text, "")];
      case "call":
        this.#beginCall();
        return [this.#called(text, "")];
      case "box":
        if (!this.#isThinking) this.#beginBox();
        break;
      case "endBox":
        this.#isBoxed = false;
        break;
      case "frame":
        this.#bound();
    }
    return [this.#said(text, "")];
  }

  #markedInCall(text: string, token: MarkToken, call: ToolCallReader): AnswerPart[] {
    // One that was not closed ends where the next begins; within a key or a value it is their text.
    if (token.mark === "call" && call.takesCall) {
      const closed = this.#called("", call.close());
      this.#beginCall();
      return [closed, this.#called(text, "")];
    }
    const part = this.#called(text, call.mark(token));
    if (call.isClosed) this.#call = null;
    return [part];
  }

  #beginCall(): void {
    this.#bound();
    this.#isThinking = false;
    this.#call = new ToolCallReader(this.#options.tools as TextParameters);
    this.#callIndex = null;
  }

  #beginBox(): void {
    this.#isBoxed = true;
    this.#boxed = "";
  }

  /** Thinking, a call or what frames an answer begins or ends here; a box does not reach over it. */
  #bound(): void {
    this.#isBoxed = false;
    this.#reasoningNewlines.mark();
    this.#contentNewlines.mark();
  }

  #answered(text: string, content: string): AnswerPart {
    this.#content += content;
    return { type: "text", text, content, boxed: this.#isBoxed };
  }

  #reasoned(text: string, reasoning: string): AnswerPart {
    this.#reasoning += reasoning;
    return { type: "reasoning", text, reasoning };
  }

  /** A call is told of from when its name is whole. */
  #called(text: string, argumentsText: string): AnswerPart {
    const name = this.#call?.name;
    if (!name) return { type: "toolCall", text, toolCall: null };
    if (this.#callIndex === null) {
      this.#callIndex = this.#calls.length;
      const id = this.#options.newCallId();
      this.#calls.push({ id, name, arguments: argumentsText });
      return {
        type: "toolCall",
        text,
        toolCall: { index: this.#callIndex, id, name, arguments: argumentsText },
      };
    }
    const call = this.#calls[this.#callIndex] as GrowingCall;
    call.arguments += argumentsText;
    const delta = { index: this.#callIndex, id: call.id, arguments: argumentsText };
    return { type: "toolCall", text, toolCall: delta };
  }
}
