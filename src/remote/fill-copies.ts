/** Copies of a caller's buffers, made in turns of the event loop: a page stays smooth while pixels go to its worker. */
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import type { Copy } from "./pack.ts";

/** Bytes at a time; memory that is new takes some milliseconds a megabyte on a slow machine. */
const PIECE = 1 << 20;

/**
 * @param isWanted asked before each piece
 * @returns whether all are made. @throws INPUT_INVALID when a buffer is handed to another thread, or shrinks, meanwhile
 */
export async function fillCopies(copies: readonly Copy[], isWanted: () => boolean): Promise<boolean> {
  for (const { from, to } of copies) {
    for (let at = 0; at < to.length; at += PIECE) {
      await turnWhenDue();
      if (!isWanted()) return false;
      if (from.length !== to.length) {
        throw new GlimtError(
          "INPUT_INVALID",
          `A buffer of ${to.length} bytes was handed to somebody else or resized while it was copied to the worker that the ` +
            "model is in; leave it as it is until the call answers.",
        );
      }
      to.set(from.subarray(at, at + PIECE), at);
    }
  }
  return true;
}
