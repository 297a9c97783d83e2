/** Which errors another try may not meet, and which ones end everything. */
import { type ErrorCode, GlimtError } from "../errors.ts";

/** Memory that others hold now, and servers of pictures that do not answer now. */
const PASSING: readonly ErrorCode[] = ["OUT_OF_MEMORY", "TIMED_OUT"];
/** The model answers nothing any more: no fault of what was asked. */
const FINAL: readonly ErrorCode[] = ["BACKEND_UNAVAILABLE", "DEVICE_FAILED", "DISPOSED", "GROUP_FAILED"];

export function mayPass(error: unknown): boolean {
  return error instanceof GlimtError && PASSING.includes(error.code);
}

export function endsModel(error: unknown): boolean {
  return error instanceof GlimtError && FINAL.includes(error.code);
}
