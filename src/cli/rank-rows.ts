/** What `glimt plan` says of a device group: what each rank holds, what ranks say to each other, how long that takes. */
import { formatBytes } from "../compiler/print.ts";
import type { GroupTime } from "../measure/group-time.ts";
import type { Hardware } from "../measure/hardware.ts";
import type { Communication } from "../program/communication.ts";
import type { RankPlan } from "../runtime/rank-plan.ts";
import type { GroupTimes } from "./group-times.ts";

type Row = [name: string, value: string];

/** Ranks beside each other that hold and say the same are one row. */
export function rankRows(ranks: readonly RankPlan[]): Row[] {
  const rows: { first: number; last: number; value: string }[] = [];
  for (const [rank, plan] of ranks.entries()) {
    const value = heldText(plan);
    const before = rows.at(-1);
    if (before?.value === value) before.last = rank;
    else rows.push({ first: rank, last: rank, value });
  }
  return rows.map(({ first, last, value }): Row => {
    return [first === last ? `rank ${first}` : `ranks ${first}-${last}`, value];
  });
}

function heldText({ weightBytes, kvCacheBytes, visionBytes, decoderBytes, peakBytes }: RankPlan): string {
  return [
    `${formatBytes(weightBytes)} of weights`,
    `KV cache ${formatBytes(kvCacheBytes)}`,
    `activations ${formatBytes(Math.max(visionBytes, decoderBytes))}`,
    `${formatBytes(weightBytes + peakBytes)} at the most`,
  ].join(", ");
}

/** Of the rank that says most, and of all of them together. */
export function communicationRows(ranks: readonly RankPlan[]): Row[] {
  const runs = [
    ["encode", "tower run"],
    ["prefill", "prompt run"],
    ["step", "token"],
  ] as const;
  return runs.flatMap(([run, name]): Row[] => {
    const said = ranks.map(({ communication }) => communication[run]);
    const bytes = said.map((ofRank) => ofRank.reduce((sum, { bytes }) => sum + bytes, 0));
    const total = bytes.reduce((sum, ofRank) => sum + ofRank, 0);
    if (total === 0) return [];
    const most = said[bytes.indexOf(Math.max(...bytes))] as readonly Communication[];
    return [[name, `${most.map(operationText).join(", ")} on a rank; all ranks give ${formatBytes(total)}`]];
  });
}

function operationText({ op, operations, bytes }: Communication): string {
  return bytes === 0 ? `${operations} ${op}` : `${operations} ${op} (${formatBytes(bytes)})`;
}

/** What each run would take, and how much of it is waiting for other ranks. */
export function timeRows({ hardware, prefill, step }: PredictedTimes): Row[] {
  const text = ({ latency, communicatingShare }: GroupTime) => {
    const percent = (100 * communicatingShare).toFixed(communicatingShare < 0.1 ? 1 : 0);
    return `${(1000 * latency).toFixed(2)} ms, ${percent} % of it waiting for other ranks`;
  };
  return [
    ["predicted", `for ${hardware.name}, ${hardware.link.bytesPerSecond / 1e9} GB/s between ranks`],
    ["  figures", hardware.source],
    ["  prompt run", text(prefill)],
    ["  token", text(step)],
  ];
}

interface PredictedTimes extends GroupTimes {
  readonly hardware: Hardware;
}
