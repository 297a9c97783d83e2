/** A run's events as the AI SDK's stream parts: blocks of text and reasoning, calls of tools, the end. */
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import type { CalledTool, StreamPart } from "./contract.ts";
import { endReason, metadataOf, usageOf } from "./outcome.ts";

/** What is open: a block of text or reasoning, or a call whose arguments come. */
type Open =
  | { readonly kind: "text" | "reasoning"; readonly id: string }
  | { readonly kind: "call"; readonly index: number; readonly call: CalledTool };

export class AnswerStream {
  #open: Open | null = null;
  #blocks = 0;
  #calls = 0;
  #reasoningTokens = 0;
  #lastReasoning = -1;

  /** The parts that an event adds. */
  push(event: GenerationEvent): StreamPart[] {
    switch (event.type) {
      case "text":
        return this.#said("text", event.content);
      case "reasoning":
        // A token whose text was held back may have several events.
        if (event.index !== this.#lastReasoning) this.#reasoningTokens++;
        this.#lastReasoning = event.index;
        return this.#said("reasoning", event.reasoning);
      case "toolCall":
        return event.toolCall ? this.#called(event.toolCall) : [];
    }
  }

  /** The parts behind the last event. */
  end(result: GenerationResult): StreamPart[] {
    const closed = this.#close();
    return [
      ...closed,
      {
        type: "finish",
        finishReason: endReason(result, this.#calls > 0),
        usage: usageOf(result, this.#reasoningTokens),
        providerMetadata: { glimt: metadataOf(result) },
      },
    ];
  }

  #said(kind: "text" | "reasoning", delta: string): StreamPart[] {
    if (delta === "") return [];
    if (this.#open?.kind === kind) return [{ type: `${kind}-delta`, id: this.#open.id, delta }];
    const closed = this.#close();
    const id = String(this.#blocks++);
    this.#open = { kind, id };
    return [...closed, { type: `${kind}-start`, id }, { type: `${kind}-delta`, id, delta }];
  }

  #called({ index, id, name, arguments: delta }: NonNullable<ToolCall>): StreamPart[] {
    const parts: StreamPart[] = [];
    if (this.#open?.kind !== "call" || this.#open.index !== index) {
      const call: CalledTool = { type: "tool-call", toolCallId: id, toolName: name ?? "", input: "" };
      parts.push(...this.#close(), { type: "tool-input-start", id, toolName: call.toolName });
      this.#open = { kind: "call", index, call };
    }
    if (delta === "") return parts;
    this.#open.call.input += delta;
    return [...parts, { type: "tool-input-delta", id, delta }];
  }

  #close(): StreamPart[] {
    const open = this.#open;
    this.#open = null;
    if (!open) return [];
    if (open.kind !== "call") return [{ type: `${open.kind}-end`, id: open.id }];
    const ended: StreamPart = { type: "tool-input-end", id: open.call.toolCallId };
    // One that the answer's end cut off is none.
    if (!isJson(open.call.input)) return [ended];
    this.#calls++;
    return [ended, open.call];
  }
}

type ToolCall = Extract<GenerationEvent, { type: "toolCall" }>["toolCall"];

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
