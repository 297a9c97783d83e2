/** A comparison with transformers as text. */
import type { Check } from "../../verify/check.ts";
import type { VerifyReport } from "../../verify/report.ts";

const VERDICTS = { same: "ok", wrong: "WRONG", skipped: "-" } as const;
const WIDTHS = [14, 10, 6, 10, 10, 10] as const;

export function reportText(report: VerifyReport): string {
  const { glimt, judge, model, cases } = report;
  const { python, transformers, torch } = judge.python;
  const lines = [
    `${model} (${report.architecture})`,
    `glimt ${glimt.version}: ${glimt.engine.description}; weights ${glimt.dtype}, activations ${glimt.activations}, KV cache ${glimt.kvCache}; ${glimt.host.cpu}`,
    `judge: transformers ${transformers}, torch ${torch}, Python ${python}, computed in ${judge.dtype}, ${judge.rounding}'s resizing; ${judge.host.cpu}`,
    "",
    row(["prompt", "stage", "", "largest", "of spread", "relative"], ""),
  ];
  for (const { name, skipped, checks } of cases) {
    if (skipped !== null) lines.push(row([name, "", VERDICTS.skipped, "", "", ""], skipped));
    for (const [index, check] of checks.entries()) {
      lines.push(
        row([index === 0 ? name : "", check.stage, VERDICTS[check.verdict], ...figures(check)], told(check)),
      );
    }
  }
  return [...lines, "", sentence(report)].join("\n");
}

function figures({ difference }: Check): string[] {
  if (!difference) return ["", "", ""];
  const { largest, share, relative } = difference;
  return [largest, share, relative].map((value) => value.toExponential(1));
}

/** Places of differences are of interest where they are too large. */
function told({ stage, verdict, detail, bound }: Check): string {
  const limit = bound ? `at most ${bound.share} of the spread (${bound.exactness})` : "";
  if (verdict === "wrong") return limit ? `${detail}; ${limit}` : detail;
  return stage === "tokens" || limit === "" ? detail : limit;
}

function sentence({ verdict, cases, judge }: VerifyReport): string {
  const wrong = cases.filter(({ checks }) => checks.some((check) => check.verdict === "wrong"));
  if (verdict === "wrong") {
    const first = wrong[0]?.checks.find((check) => check.verdict === "wrong");
    return `WRONG: ${wrong.length} of ${cases.length} prompts differ from transformers, first in ${first?.stage}.`;
  }
  if (verdict === "same") return "The same as transformers, within the bounds.";
  const reason =
    judge.refused === null ? "No answer was compared." : `The weights were not compared: ${judge.refused}.`;
  return `Ids and pixels are the same as transformers'. ${reason}`;
}

function row(cells: readonly string[], last: string): string {
  return `${cells.map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0)).join("")}${last}`.trimEnd();
}
