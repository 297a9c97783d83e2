/** How long a step of a device group would take, predicted from its ranks' programs and figures of the hardware. */
import { type CollectiveOp, isCollective } from "../graph/ops.ts";
import { givenBytes } from "../program/communication.ts";
import type { Program } from "../program/program.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { wholeRanks } from "../program/weights.ts";
import type { Hardware, Link } from "./hardware.ts";
import { operationsOf, programWork, type RunSizes } from "./work.ts";

export interface RankTime {
  /** Seconds that its own instructions take, one after another. */
  readonly computing: number;
  /** Seconds of what it does with others, once they are there. */
  readonly communicating: number;
}

export interface GroupTime {
  /** By pipeline stage: of its slowest rank. */
  readonly stages: readonly RankTime[];
  /** Of a step that goes through all stages. */
  readonly latency: number;
  /** Between the ends of steps, when as many are under way as there are stages. */
  readonly interval: number;
  /** Of the latency, what is communication. */
  readonly communicatingShare: number;
}

/** @param program of the whole model, with those of its ranks; @param tensor ranks that share each layer. */
export function groupTime(
  program: VerifiedProgram,
  tensor: number,
  sizes: RunSizes,
  hardware: Hardware,
): GroupTime {
  const running = (program.ranks ?? [program]).filter(({ instructions }) => instructions.length > 0);
  const ranks = running.map((rank) => rankTime(rank, tensor, sizes, hardware));
  // Ranks that have all of it each run side by side.
  const abreast = wholeRanks(running).length === running.length ? running.length : tensor;
  const stages = Array.from({ length: ranks.length / abreast }, (_, stage) => {
    const group = ranks.slice(stage * abreast, (stage + 1) * abreast);
    return group.reduce((slowest, rank) => (total(rank) > total(slowest) ? rank : slowest));
  });
  const latency = sum(stages.map(total));
  return {
    stages,
    latency,
    interval: Math.max(...stages.map(total)),
    communicatingShare: latency > 0 ? sum(stages.map(({ communicating }) => communicating)) / latency : 0,
  };
}

/** An instruction takes the longer of reading its bytes and computing, or what any takes. */
function rankTime(program: Program, tensor: number, sizes: RunSizes, hardware: Hardware): RankTime {
  const work = programWork(program, sizes);
  let [computing, communicating] = [0, 0];
  for (const [index, instruction] of program.instructions.entries()) {
    const { op } = instruction;
    if (isCollective(op)) {
      communicating += linkSeconds(
        op,
        givenBytes(program, instruction, sizes.symbols),
        tensor,
        hardware.link,
      );
      continue;
    }
    const own = work[index] as (typeof work)[number];
    computing +=
      hardware.instructionSeconds +
      Math.max(own.bytes / hardware.memoryBytesPerSecond, operationsOf(own) / hardware.operationsPerSecond);
  }
  return { computing, communicating };
}

/**
 * Of a collective op in which each of n ranks gives `bytes`: as rings move them, in which a rank sends its share n - 1 times,
 * and twice for a sum that all get.
 */
export function linkSeconds(
  op: CollectiveOp,
  bytes: number,
  ranks: number,
  { bytesPerSecond, operationSeconds }: Link,
): number {
  // Who receives waits for the sender, whose time it is.
  if (op === "receive") return 0;
  const sent: Readonly<Record<Exclude<CollectiveOp, "receive">, number>> = {
    all_reduce: (2 * (ranks - 1)) / ranks,
    reduce_scatter: (ranks - 1) / ranks,
    all_gather: ranks - 1,
    send: 1,
  };
  return operationSeconds + (sent[op] * bytes) / bytesPerSecond;
}

function total({ computing, communicating }: RankTime): number {
  return computing + communicating;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
