/** What a model counts of itself, under the names that vLLM's dashboards read. */
import type { ServedModel } from "../../protocols/served-model.ts";
import type { ModelStatistics } from "../../serving/statistics.ts";
import { type Family, Reading } from "./families.ts";

type Row = readonly [name: string, help: string, read: (stats: ModelStatistics) => number];

const GAUGES: readonly Row[] = [
  ["num_requests_running", "Requests that steps of the model are computed for.", ({ running }) => running],
  [
    "kv_cache_usage_perc",
    "Share of the pages of the KV cache that requests hold, 0 to 1.",
    ({ pages }) => (pages.total === 0 ? 0 : 1 - pages.free / pages.total),
  ],
];

const COUNTERS: readonly Row[] = [
  ["num_preemptions_total", "Requests that gave back their pages for others.", (stats) => stats.preemptions],
  [
    "prefix_cache_queries_total",
    "Tokens of prompts that were looked for in the prefix cache.",
    ({ prefixCache }) => prefixCache.queriedTokens,
  ],
  [
    "prefix_cache_hits_total",
    "Tokens of prompts that were found in the prefix cache.",
    ({ prefixCache }) => prefixCache.hitTokens,
  ],
  [
    "mm_cache_queries_total",
    "Pictures and videos whose features were looked for.",
    ({ encoderCache }) => encoderCache.queries,
  ],
  [
    "mm_cache_hits_total",
    "Pictures and videos whose features were found.",
    ({ encoderCache }) => encoderCache.hits,
  ],
  ["spec_decode_num_drafts_total", "Steps of answers that had drafts.", ({ drafts }) => drafts.rounds],
  ["spec_decode_num_draft_tokens_total", "Draft tokens that were read.", ({ drafts }) => drafts.drafted],
  ["spec_decode_num_accepted_tokens_total", "Draft tokens that were right.", ({ drafts }) => drafts.accepted],
];

/** @param waiting requests that are not with the model yet */
export function modelMetrics(
  model: Pick<ServedModel, "stats">,
  modelName: string,
  waiting: () => number,
): Family[] {
  const labels = { model_name: modelName };
  const family =
    (type: "gauge" | "counter") =>
    ([name, help, read]: Row) =>
      new Reading(type, `vllm:${name}`, help, () => [{ labels, value: read(model.stats()) }]);
  const accepted = new Reading(
    "counter",
    "vllm:spec_decode_num_accepted_tokens_per_pos_total",
    "Draft tokens that were right, by their place among the drafts of a step.",
    () =>
      model.stats().drafts.acceptedByPlace.map((value, place) => ({
        labels: { ...labels, position: String(place) },
        value,
      })),
  );
  const line: Row = [
    "num_requests_waiting",
    "Requests that wait: for their turn, for their first step, or for memory.",
    (stats) => stats.waiting + waiting(),
  ];
  return [...[...GAUGES, line].map(family("gauge")), ...COUNTERS.map(family("counter")), accepted];
}
