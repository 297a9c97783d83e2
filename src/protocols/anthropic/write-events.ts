/** An answer as the events of Anthropic's streams. */
import type { GenerationEvent, GenerationResult } from "../../serving/run-result.ts";
import {
  type AnthropicMessage,
  type ContentBlock,
  emptyMessage,
  type MessageFrame,
  type MessageUsage,
  messageUsage,
  type StopReason,
  stopOf,
} from "./write-message.ts";

export type ContentDelta =
  | { readonly type: "text_delta"; readonly text: string }
  | { readonly type: "thinking_delta"; readonly thinking: string }
  | { readonly type: "input_json_delta"; readonly partial_json: string };

/** Its `type` is the name of the server-sent event, too. */
export type AnthropicEvent =
  | { readonly type: "message_start"; readonly message: AnthropicMessage }
  | { readonly type: "content_block_start"; readonly index: number; readonly content_block: ContentBlock }
  | { readonly type: "content_block_delta"; readonly index: number; readonly delta: ContentDelta }
  | { readonly type: "content_block_stop"; readonly index: number }
  | {
      readonly type: "message_delta";
      readonly delta: { readonly stop_reason: StopReason; readonly stop_sequence: string | null };
      readonly usage: MessageUsage;
    }
  | { readonly type: "message_stop" };

/**
 * The first event counts the prompt, the last but one all tokens.
 *
 * @param run is returned with the events
 */
export async function* anthropicEvents(
  run: AsyncGenerator<GenerationEvent, GenerationResult, void>,
  frame: MessageFrame,
): AsyncGenerator<AnthropicEvent, void, void> {
  try {
    let next = await run.next();
    const prompt = next.done ? undefined : next.value.prompt;
    yield { type: "message_start", message: emptyMessage(frame, prompt) };
    const blocks = new Blocks(frame);
    for (; !next.done; next = await run.next()) yield* blocks.take(next.value);
    yield* blocks.end();
    yield { type: "message_delta", delta: stopOf(next.value), usage: messageUsage(next.value) };
    yield { type: "message_stop" };
  } finally {
    await run.return(undefined as never);
  }
}

/** Blocks follow one another; each is opened by its first delta and closed by the next one's. */
class Blocks {
  readonly #frame: MessageFrame;
  #index = -1;
  /** What the open block holds: a kind, and of a call its place among the calls. */
  #open: string | null = null;

  constructor(frame: MessageFrame) {
    this.#frame = frame;
  }

  *take(event: GenerationEvent): Generator<AnthropicEvent, void> {
    if (event.type === "text") {
      if (event.content === "") return;
      yield* this.#begin("text", { type: "text", text: "", citations: null });
      yield this.#delta({ type: "text_delta", text: event.content });
    } else if (event.type === "reasoning") {
      if (event.reasoning === "" || this.#frame.hidesThinking) return;
      yield* this.#begin("thinking", { type: "thinking", thinking: "", signature: "" });
      yield this.#delta({ type: "thinking_delta", thinking: event.reasoning });
    } else if (event.toolCall) {
      const { index, id, name = "", arguments: text } = event.toolCall;
      if (index > 0 && this.#frame.oneCall) return;
      yield* this.#begin(`call ${index}`, { type: "tool_use", id, name, input: {} });
      if (text !== "") yield this.#delta({ type: "input_json_delta", partial_json: text });
    }
  }

  *end(): Generator<AnthropicEvent, void> {
    if (this.#open !== null) yield { type: "content_block_stop", index: this.#index };
    this.#open = null;
  }

  *#begin(held: string, block: ContentBlock): Generator<AnthropicEvent, void> {
    if (this.#open === held) return;
    yield* this.end();
    this.#open = held;
    this.#index += 1;
    yield { type: "content_block_start", index: this.#index, content_block: block };
  }

  #delta(delta: ContentDelta): AnthropicEvent {
    return { type: "content_block_delta", index: this.#index, delta };
  }
}
