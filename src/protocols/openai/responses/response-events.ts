/** A response as it comes: OpenAI's events, of items that open, grow and close one after the other. */
import type { GenerationEvent, GenerationResult } from "../../../serving/run-result.ts";
import type { TokenLogprob } from "../../../serving/token-logprobs.ts";
import { newId } from "../../ids.ts";
import { chatLogprob } from "../chat-logprobs.ts";
import type { AnswerName } from "../chat-response.ts";
import {
  callItem,
  type ItemStatus,
  itemStatus,
  messageItem,
  reasoningItem,
  reasoningPart,
  responseObject,
  textPart,
} from "./response-object.ts";
import type { ResponseAsked } from "./response-request.ts";

type Event = { readonly type: string } & Readonly<Record<string, unknown>>;

/** @param events are returned with it */
export async function* responseEvents(
  events: AsyncGenerator<GenerationEvent, GenerationResult, void>,
  asked: ResponseAsked,
  name: AnswerName,
): AsyncGenerator<object, void, void> {
  let number = 0;
  const numbered = (event: Event) => ({ ...event, sequence_number: number++ });
  const items = new OutputItems(asked.parallelToolCalls);
  try {
    const begun = responseObject(asked, name, [], null);
    yield numbered({ type: "response.created", response: begun });
    yield numbered({ type: "response.in_progress", response: begun });
    for (;;) {
      const { value, done } = await events.next();
      if (!done) {
        for (const event of items.take(value)) yield numbered(event);
        continue;
      }
      const status = itemStatus(value.finishReason);
      for (const event of items.end(status)) yield numbered(event);
      const response = responseObject(asked, name, items.output, value);
      yield numbered({ type: `response.${status}`, response });
      return;
    }
  } finally {
    await events.return(undefined as never);
  }
}

/** An item that grows. */
interface OpenItem {
  readonly kind: "reasoning" | "message" | "call";
  readonly id: string;
  readonly callId: string;
  readonly name: string;
  text: string;
  readonly logprobs: TokenLogprob[];
}

class OutputItems {
  readonly output: object[] = [];
  readonly #parallel: boolean;
  #open: OpenItem | null = null;
  #lastLogprob = -1;

  constructor(parallel: boolean) {
    this.#parallel = parallel;
  }

  *take(event: GenerationEvent): Generator<Event, void, void> {
    if (event.type === "reasoning") {
      if (event.reasoning === "") return;
      yield* this.#begin("reasoning");
      yield this.#grow("response.reasoning_text.delta", event.reasoning);
    } else if (event.type === "text") {
      const logprob = this.#logprobOf(event);
      if (event.content === "" && !(logprob && this.#open?.kind === "message")) return;
      yield* this.#begin("message");
      if (logprob) this.#open?.logprobs.push(logprob);
      yield {
        ...this.#grow("response.output_text.delta", event.content),
        logprobs: logprob ? [chatLogprob(logprob)] : [],
      };
    } else {
      const call = event.toolCall;
      if (!call || (!this.#parallel && call.index > 0)) return;
      if (call.name !== undefined) yield* this.#begin("call", call.id, call.name);
      if (call.arguments !== "") yield this.#grow("response.function_call_arguments.delta", call.arguments);
    }
  }

  *end(status: ItemStatus): Generator<Event, void, void> {
    yield* this.#close(status);
    if (this.output.some((item) => (item as { type: string }).type !== "reasoning")) return;
    // An answer that says nothing is a message all the same.
    yield* this.#begin("message");
    yield* this.#close(status);
  }

  #logprobOf({ index, logprob }: GenerationEvent): TokenLogprob | null {
    if (!logprob || index <= this.#lastLogprob) return null;
    this.#lastLogprob = index;
    return logprob;
  }

  /** Opens an item where none of that kind is open; each call is one. */
  *#begin(kind: OpenItem["kind"], callId = "", name = ""): Generator<Event, void, void> {
    if (this.#open?.kind === kind && kind !== "call") return;
    yield* this.#close("completed");
    const id = newId({ reasoning: "rs_", message: "msg_", call: "fc_" }[kind]);
    const item: OpenItem = { kind, id, callId, name, text: "", logprobs: [] };
    this.#open = item;
    yield {
      type: "response.output_item.added",
      output_index: this.output.length,
      item: itemOf(item, [], "in_progress"),
    };
    if (kind !== "call") yield { type: "response.content_part.added", ...this.#place(), part: partOf(item) };
  }

  #grow(type: string, delta: string): Event {
    const item = this.#open as OpenItem;
    item.text += delta;
    return { type, ...this.#place(), delta };
  }

  *#close(status: ItemStatus): Generator<Event, void, void> {
    const item = this.#open;
    if (!item) return;
    const place = this.#place();
    const { kind, name, text } = item;
    if (kind === "call") {
      yield { type: "response.function_call_arguments.done", ...place, name, arguments: text };
    } else {
      const part = partOf(item);
      yield kind === "message"
        ? { type: "response.output_text.done", ...place, text, logprobs: item.logprobs.map(chatLogprob) }
        : { type: "response.reasoning_text.done", ...place, text };
      yield { type: "response.content_part.done", ...place, part };
    }
    const whole = itemOf(item, kind === "call" ? [] : [partOf(item)], status);
    yield { type: "response.output_item.done", output_index: this.output.length, item: whole };
    this.output.push(whole);
    this.#open = null;
  }

  #place() {
    const item = this.#open as OpenItem;
    return {
      item_id: item.id,
      output_index: this.output.length,
      ...(item.kind !== "call" && { content_index: 0 }),
    };
  }
}

function partOf({ kind, text, logprobs }: OpenItem): object {
  return kind === "message" ? textPart(text, logprobs) : reasoningPart(text);
}

function itemOf(item: OpenItem, content: readonly object[], status: ItemStatus): object {
  const { kind, id, callId, name, text } = item;
  if (kind === "call") return callItem(id, callId, name, text, status);
  return kind === "message" ? messageItem(id, content, status) : reasoningItem(id, content, status);
}
