/** How fast an answer was. */
import type { Answered } from "./asking.ts";
import { duration } from "./format.ts";

export function figuresOf({ result, firstTokenMs }: Answered): [string, string][] {
  const { timings, usage } = result;
  const decoded = usage.completionTokens - 1;
  const rate = decoded > 0 && timings.decode > 0 ? (1000 * decoded) / timings.decode : null;
  return [
    ["First token", duration(firstTokenMs)],
    ["Speed", rate === null ? "–" : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens/s`],
    ["Vision", duration(timings.vision)],
    [
      "Prompt",
      `${usage.promptTokens} tokens${usage.cachedTokens > 0 ? `, ${usage.cachedTokens} known` : ""}`,
    ],
  ];
}
