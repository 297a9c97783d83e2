/** How long the runs of a request would take a group, or one device. */
import { type GroupTime, groupTime } from "../measure/group-time.ts";
import type { Hardware } from "../measure/hardware.ts";
import type { StagePrograms } from "../runtime/compile-stages.ts";
import type { requestRuns } from "../runtime/request-plan.ts";

export interface GroupTimes {
  /** A run over a part of the prompt, the last: it sees all before it. */
  readonly prefill: GroupTime;
  /** A token behind the prompt and the answer. */
  readonly step: GroupTime;
}

export function groupTimes(
  { decoder }: StagePrograms,
  { prefill, step, context }: ReturnType<typeof requestRuns>,
  tensor: number,
  hardware: Hardware,
): GroupTimes {
  const timeOf = (symbols: typeof prefill, seen: number) =>
    groupTime(decoder, tensor, { symbols, extents: [{ queries: symbols.tokens, context: seen }] }, hardware);
  return { prefill: timeOf(prefill, context.prefill), step: timeOf(step, context.step) };
}
