/** Chunks as the body of a response: made when they are asked for, so that a slow reader slows its answer alone. */

import { keptJsonText } from "../json/kept.ts";

/** How chunks are written one behind the other. */
export interface StreamFormat {
  readonly contentType: string;
  frame(chunk: object): string;
  /** Behind the last chunk. */
  readonly end: string;
}

/** Server-sent events that are data alone, and OpenAI's last one. */
export const OPENAI_EVENTS: StreamFormat = {
  contentType: "text/event-stream; charset=utf-8",
  frame: (chunk) => `data: ${JSON.stringify(chunk)}\n\n`,
  end: "data: [DONE]\n\n",
};

/** Server-sent events that are named by their `type`. */
export const NAMED_EVENTS: StreamFormat = {
  contentType: "text/event-stream; charset=utf-8",
  frame: (chunk) => `event: ${(chunk as { type: string }).type}\ndata: ${JSON.stringify(chunk)}\n\n`,
  end: "",
};

/** A JSON object a line. */
export const JSON_LINES: StreamFormat = {
  contentType: "application/x-ndjson",
  frame: (chunk) => `${keptJsonText(chunk)}\n`,
  end: "",
};

export interface StreamEnd {
  /** @returns what is said of an error, as a chunk. It is the last. */
  failed(error: unknown): object;
  /** Nobody reads on. */
  left(): void;
  done(): void;
}

export function streamBody(
  chunks: AsyncGenerator<object, void, void>,
  { frame, end }: StreamFormat,
  ends: StreamEnd,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const write = (text: string) => {
        if (text !== "") controller.enqueue(encoder.encode(text));
      };
      try {
        const { value, done } = await chunks.next();
        if (!done) return write(frame(value));
        write(end);
        ends.done();
      } catch (error) {
        write(frame(ends.failed(error)) + end);
      }
      controller.close();
    },
    async cancel() {
      ends.left();
      await chunks.return().catch(() => undefined);
    },
  });
}
