/** How long the runs of a request would take a group, or one device. */
import { type GroupTime, groupTime, linkSeconds } from "../measure/group-time.ts";
import type { Hardware, Link } from "../measure/hardware.ts";
import type { RunSizes } from "../measure/work.ts";
import type { StagePrograms } from "../runtime/compile-stages.ts";
import type { EncodeRun, RankPlan } from "../runtime/rank-plan.ts";
import type { requestRuns } from "../runtime/request-plan.ts";

export interface GroupTimes {
  /** The largest run of the tower; absent where there are no pictures. */
  readonly encode?: GroupTime;
  /** A run over a part of the prompt, the last: it sees all before it. */
  readonly prefill: GroupTime;
  /** A token behind the prompt and the answer. */
  readonly step: GroupTime;
}

export function groupTimes(
  { vision, decoder }: StagePrograms,
  { encode, prefill, step, context }: ReturnType<typeof requestRuns>,
  ranks: readonly RankPlan[],
  tensor: number,
  hardware: Hardware,
): GroupTimes {
  const timeOf = (symbols: typeof prefill, seen: number) =>
    groupTime(decoder, tensor, { symbols, extents: [{ queries: symbols.tokens, context: seen }] }, hardware);
  const [largest] = encode.flat().toSorted((a, b) => b.symbols.patches - a.symbols.patches);
  const encoding = vision && largest && groupTime(vision, tensor, encodeSizes(largest), hardware);
  return {
    ...(encoding && { encode: withSpread(encoding, ranks, hardware.link) }),
    prefill: timeOf(prefill, context.prefill),
    step: timeOf(step, context.step),
  };
}

/** What ranks encode is brought to the others when all have: by one rank after another. */
function withSpread(time: GroupTime, ranks: readonly RankPlan[], link: Link): GroupTime {
  const spreads = ranks.flatMap(({ communication }) =>
    communication.encode.filter(({ op }) => op === "spread"),
  );
  const seconds = spreads.reduce(
    (sum, { operations, bytes }) => sum + operations * linkSeconds("send", bytes / operations, 1, link),
    0,
  );
  const latency = time.latency + seconds;
  const communicating = time.communicatingShare * time.latency + seconds;
  return { ...time, latency, communicatingShare: communicating / latency };
}

/** Patches see those of their frame. */
function encodeSizes({ symbols, items }: EncodeRun): RunSizes {
  const extents = items.flatMap(({ inputSize, frames }) => {
    const patches = inputSize / frames;
    return new Array<RunSizes["extents"][number]>(frames).fill({ queries: patches, context: patches });
  });
  return { symbols, extents };
}
