/** Copies of a caller's large buffers, made in turns of the event loop: a page stays smooth while pixels go to its worker. */
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import type { Copy } from "./pack.ts";

/** Bytes at a time; memory that is new takes some milliseconds a megabyte on a slow machine. */
const PIECE = 1 << 20;

/** @throws INPUT_INVALID when a buffer is handed to another thread, or shrinks, meanwhile */
export async function fillCopies(copies: readonly Copy[]): Promise<void> {
  for (const { from, to } of copies) {
    for (let at = 0; at < to.length; at += PIECE) {
      await turnWhenDue();
      if (from.length !== to.length) {
        throw new GlimtError(
          "INPUT_INVALID",
          `A buffer of ${to.length} bytes was handed to somebody else or resized while it was copied to the worker that the ` +
            "model is in; keep it as it is until the call has begun to answer.",
        );
      }
      to.set(from.subarray(at, at + PIECE), at);
    }
  }
}
