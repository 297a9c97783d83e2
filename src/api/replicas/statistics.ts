import type { ModelStatistics } from "../../serving/statistics.ts";

/** Of several models as of one. */
export function addedStatistics(all: readonly ModelStatistics[]): ModelStatistics {
  const sum = (read: (stats: ModelStatistics) => number) =>
    all.reduce((total, stats) => total + read(stats), 0);
  const places = Math.max(0, ...all.map(({ drafts }) => drafts.acceptedByPlace.length));
  return {
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    steps: sum(({ steps }) => steps),
    maxSequences: sum(({ maxSequences }) => maxSequences),
    preemptions: sum(({ preemptions }) => preemptions),
    pages: { total: sum(({ pages }) => pages.total), free: sum(({ pages }) => pages.free) },
    drafts: {
      rounds: sum(({ drafts }) => drafts.rounds),
      drafted: sum(({ drafts }) => drafts.drafted),
      accepted: sum(({ drafts }) => drafts.accepted),
      acceptedByPlace: Array.from({ length: places }, (_, place) =>
        sum(({ drafts }) => drafts.acceptedByPlace[place] ?? 0),
      ),
    },
    prefixCache: {
      pages: sum(({ prefixCache }) => prefixCache.pages),
      evictions: sum(({ prefixCache }) => prefixCache.evictions),
      queriedTokens: sum(({ prefixCache }) => prefixCache.queriedTokens),
      hitTokens: sum(({ prefixCache }) => prefixCache.hitTokens),
    },
    encoderCache: {
      bytes: sum(({ encoderCache }) => encoderCache.bytes),
      queries: sum(({ encoderCache }) => encoderCache.queries),
      hits: sum(({ encoderCache }) => encoderCache.hits),
    },
  };
}
