/** That the programs of a device group's ranks fit together: whatever one waits for, another gives. */
import { GlimtError } from "../errors.ts";
import { isCollective, OPS } from "../graph/ops.ts";
import { formatDim } from "../tensor/dims.ts";
import type { Instruction, Program, ProgramTensor } from "./program.ts";

/** A collective op where it stands in a rank's program. */
interface Meeting {
  readonly op: string;
  /** Of send and receive; ranks of a tensor group meet all at once. */
  readonly peer?: number;
  /** What must be the same for all who meet: op, attributes, what is moved. */
  readonly content: string;
  readonly scope: string;
}

/**
 * Runs the collective ops of all ranks side by side, each waiting for those that it meets.
 *
 * @param tensor ranks of a tensor group: rank / tensor, rounded down, are of the same group.
 * @throws PROGRAM_INVALID naming the rank and the op that waits for what never comes
 */
export function verifyRanks(programs: readonly Program[], tensor: number): void {
  const waiting = programs.map((program) => program.instructions.flatMap((one) => meetingOf(program, one)));
  const places = waiting.map(() => 0);
  const current = (rank: number) => waiting[rank]?.[places[rank] as number];
  const advance = (ranks: readonly number[]) => {
    for (const rank of ranks) places[rank] = (places[rank] as number) + 1;
  };
  for (let moved = true; moved; ) {
    moved = false;
    for (const rank of waiting.keys()) {
      const meeting = current(rank);
      const others = meeting && partners(rank, meeting, tensor);
      if (!others?.every((other) => meets(rank, meeting as Meeting, current(other)))) continue;
      advance([rank, ...others]);
      moved = true;
    }
  }
  const stuck = waiting.findIndex((_, rank) => current(rank) !== undefined);
  if (stuck < 0) return;
  const { content, scope } = current(stuck) as Meeting;
  const others = partners(stuck, current(stuck) as Meeting, tensor).map(
    (other) => `rank ${other} at ${current(other)?.content ?? "its end"}`,
  );
  throw new GlimtError(
    "PROGRAM_INVALID",
    `${programs[stuck]?.name}: rank ${stuck} waits at ${content} (${scope}), ${others.join(", ")}.`,
  );
}

function partners(rank: number, { peer }: Meeting, tensor: number): number[] {
  if (peer !== undefined) return [peer];
  const first = rank - (rank % tensor);
  return Array.from({ length: tensor }, (_, index) => first + index).filter((other) => other !== rank);
}

function meets(rank: number, { op, peer, content }: Meeting, other: Meeting | undefined): boolean {
  if (!other || other.content !== content) return false;
  // The sender goes first, so that each pair is counted once.
  return peer === undefined || (op === "send" && other.op === "receive" && other.peer === rank);
}

function meetingOf(program: Program, { op, inputs, outputs, attrs, scope }: Instruction): Meeting[] {
  if (!isCollective(op)) return [];
  const [moved] = op === "receive" ? outputs : inputs;
  const { rows, cols } = program.tensors[moved as number] as ProgramTensor;
  const shape = `[${formatDim(rows)}, ${formatDim(cols)}]`;
  if (op === "send" || op === "receive") {
    const peer = attrs[Object.keys(OPS[op].attrs).indexOf("peer")] as number;
    return [{ op, peer, content: `a transfer of ${shape}`, scope }];
  }
  return [{ op, content: `${op}(${attrs.join(", ")}) of ${shape}`, scope }];
}
