/** What `glimt plan` says of a device group: what each rank holds, what ranks say to each other, how long that takes. */
import { formatBytes } from "../compiler/print.ts";
import type { GroupTime } from "../measure/group-time.ts";
import type { Hardware } from "../measure/hardware.ts";
import type { Communication } from "../program/communication.ts";
import type { RankPlan } from "../runtime/rank-plan.ts";
import type { GroupTimes } from "./group-times.ts";

type Row = [name: string, value: string];

/** What each rank holds. */
export function rankRows(ranks: readonly RankPlan[]): Row[] {
  return ofRanks(ranks.map(heldText)).map(([names, text]): Row => [names, text]);
}

function heldText({ weightBytes, kvCacheBytes, peakBytes, ...plan }: RankPlan): string {
  const activations = Math.max(
    plan.visionActivationBytes + plan.visionInputBytes,
    plan.decoderActivationBytes,
  );
  return [
    `${formatBytes(weightBytes)} of weights`,
    `KV cache ${formatBytes(kvCacheBytes)}`,
    `activations and inputs ${formatBytes(activations)}`,
    `${formatBytes(weightBytes + peakBytes)} at the most`,
  ].join(", ");
}

/** What ranks do together in each kind of run, and the bytes that all of them give. */
export function communicationRows(ranks: readonly RankPlan[]): Row[] {
  const runs = [
    ["encode", "tower run"],
    ["prefill", "prompt run"],
    ["step", "token"],
  ] as const;
  return runs.flatMap(([run, name]): Row[] => {
    const said = ranks.map(({ communication }) => communication[run]);
    const total = said.flat().reduce((sum, { bytes }) => sum + bytes, 0);
    if (total === 0) return [];
    const texts = ofRanks(said.map((ofRank) => ofRank.map(operationText).join(", ")));
    const parts = texts.filter(([, text]) => text !== "").map(([names, text]) => `${text} (${names})`);
    return [[name, `${formatBytes(total)} in all: ${parts.join("; ")}`]];
  });
}

/** Ranks beside each other of which the same is said. */
function ofRanks(texts: readonly string[]): [names: string, text: string][] {
  const runs: { first: number; last: number; text: string }[] = [];
  for (const [rank, text] of texts.entries()) {
    const before = runs.at(-1);
    if (before?.text === text) before.last = rank;
    else runs.push({ first: rank, last: rank, text });
  }
  return runs.map(({ first, last, text }) => [
    first === last ? `rank ${first}` : `ranks ${first}-${last}`,
    text,
  ]);
}

function operationText({ op, operations, bytes }: Communication): string {
  return bytes === 0 ? `${operations} ${op}` : `${operations} ${op} of ${formatBytes(bytes)}`;
}

/** What each run would take, and how much of it is waiting for other ranks. */
export function timeRows({ hardware, encode, prefill, step }: PredictedTimes): Row[] {
  const text = ({ latency, communicatingShare }: GroupTime) => {
    const percent = (100 * communicatingShare).toFixed(communicatingShare < 0.1 ? 1 : 0);
    return `${(1000 * latency).toFixed(2)} ms, ${percent} % of it waiting for other ranks`;
  };
  return [
    ["predicted", `for ${hardware.name}, ${hardware.link.bytesPerSecond / 1e9} GB/s between ranks`],
    ["  figures", hardware.source],
    ...(encode ? [["  tower run", text(encode)] as Row] : []),
    ["  prompt run", text(prefill)],
    ["  token", text(step)],
  ];
}

interface PredictedTimes extends GroupTimes {
  readonly hardware: Hardware;
}
