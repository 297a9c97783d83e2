/** What a promise fails with. */
import * as assert from "uvu/assert";
import { GlimtError } from "../../../src/errors.ts";

export async function failure(task: Promise<unknown>): Promise<GlimtError> {
  try {
    await task;
  } catch (error) {
    assert.ok(error instanceof GlimtError, `an error without a code: ${error}`);
    return error;
  }
  return assert.unreachable("no error") as never;
}
