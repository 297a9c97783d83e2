/** A backend whose engines are groups: an engine of another backend on each device, with its part of every program. */
import { GlimtError } from "../../errors.ts";
import { weightBytes } from "../../program/sizes.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import type { Backend, EngineOptions, MemoryDemand } from "../backend.ts";
import { GroupEngine } from "./group-engine.ts";
import { placementOf } from "./group-memory.ts";
import { type GroupLink, processOf } from "./link.ts";
import { rankPrograms } from "./rank-programs.ts";
import { type GroupShape, rankCount, stageRankCount } from "./shape.ts";

export interface GroupOptions extends GroupShape {
  /** Of the ranks of this process, as the backend numbers them; on backends without numbers they are counted only. */
  readonly devices: readonly number[];
  /** Milliseconds without progress of any rank, after which the group has failed. */
  readonly deadlineMs: number;
  /** Where other ranks are in other processes. */
  readonly link?: GroupLink | undefined;
}

/** @param backend of each rank; kernels, layouts and types are its own */
export function createGroupBackend(backend: Backend, options: GroupOptions): Backend {
  const { tensor, encoders = 0, devices, deadlineMs, link } = options;
  const ranks = rankCount(options);
  const ofStages = stageRankCount(options);
  const firstRank = (link?.index ?? 0) * devices.length;
  const group: Backend = {
    ...backend,
    timesInstructions: false,
    async open(asked: EngineOptions = {}) {
      if (link && backend.newGroup) {
        throw new GlimtError(
          "BACKEND_UNAVAILABLE",
          `A group of ${backend.name} devices is in one process so far; leave parallel.processes out.`,
        );
      }
      const id = ofStages > 1 ? await backend.newGroup?.() : undefined;
      const demand = asked.demand && shareOf(asked.demand, asked.programs ?? [], ranks, ofStages);
      const opening = devices.map((device, index) => {
        const rank = firstRank + index;
        const named = id && rank < ofStages ? { id } : {};
        return backend.open({
          ...asked,
          ...(demand && { demand }),
          group: { rank, ranks, encoders, tensor, device, deadlineMs, ...named },
        });
      });
      const opened = await Promise.allSettled(opening);
      const engines = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
      const refused = opened.find((each) => each.status === "rejected");
      if (refused) {
        for (const engine of engines) engine.dispose();
        throw refused.reason;
      }
      const placement = placementOf(asked.programs ?? [], ranks);
      const isHere = (rank: number) => !link || processOf(rank, ranks, link) === link.index;
      const byRank = Array.from({ length: ranks }, (_, rank) =>
        isHere(rank) ? (engines[rank - firstRank] ?? null) : null,
      );
      return new GroupEngine(group, byRank, { shape: options, placement, deadlineMs, link });
    },
  };
  return group;
}

/**
 * What a rank will be asked for: the weights of the one that has most, and its part of the rest, which is alike.
 *
 * @param sharing how many ranks the rest is in parts on
 */
function shareOf(
  { loaded, request, least }: MemoryDemand,
  programs: readonly VerifiedProgram[],
  ranks: number,
  sharing: number,
): MemoryDemand {
  const weights = Array.from({ length: ranks }, (_, rank) =>
    weightBytes(programs.map((program) => rankPrograms(program, ranks)[rank] as VerifiedProgram)),
  );
  const rest = Math.max(0, loaded - weights.reduce((sum, bytes) => sum + bytes, 0));
  const share = (bytes: number) => Math.ceil(bytes / sharing);
  return { loaded: Math.max(...weights) + share(rest), request: share(request), least: share(least) };
}
