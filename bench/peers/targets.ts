/** What has to be reached, a row each: figures of one run, and what they are held against. */
import type { HostClass } from "./host.ts";
import { outcomeReading, type Results } from "./results.ts";

export interface Target {
  readonly title: string;
  /** What is expected, as one reads it. */
  readonly expected: string;
  /** The hosts it holds for; absent: all. */
  readonly host?: HostClass;
  /**
   * What it would be at the ceilings of the run, on which the host's own instructions are: where that misses it too, no kernel
   * reaches it here. Undefined where they were not measured; absent where ceilings do not say.
   */
  limit?(results: Results): { readonly allowed: string; readonly reachable: boolean } | undefined;
  /** Undefined where something it needs was not measured. */
  judge(results: Results): { readonly found: string; readonly ok: boolean } | undefined;
}

export interface Judgement {
  readonly title: string;
  readonly expected: string;
  readonly host: HostClass | "all";
  readonly found: string;
  readonly verdict: "pass" | "FAIL" | "limit" | "other host" | "not measured";
}

export const VISION = "vision 616x812";
export const LARGE_VISION = "vision 1036x1036";
export const PREFILL = "prefill 512";
export const DECODE = "decode at 128";
export const LONG_DECODE = "decode at 8192";
export const LINEAR = "linear 1024x1024x1024";

export const TARGETS: readonly Target[] = [
  least("f32 linear 1024 cube, 1 thread", 0.92, "of the multiply-add peak", (results) =>
    shareOfPeak(results, LINEAR, "glimt f32", 1),
  ),
  ...(["q8", "q4"] as const).map((format) =>
    least(
      `${format} GEMM, 1 thread`,
      { q8: 1.45, q4: 2.2 }[format],
      "x the f32 linear",
      (results) => over(results.ms(LINEAR, "glimt f32", 1), results.ms(LINEAR, `glimt ${format}`, 1)),
      (results) =>
        over(
          results.ms(LINEAR, "glimt f32", 1),
          leastMs(results, LINEAR, `glimt ${format}`, 1, `${format}Product`),
        ),
    ),
  ),
  ...[
    ["f32 GEMM", LINEAR, "glimt f32"],
    ["q8 GEMM", LINEAR, "glimt q8"],
    ["q4 GEMM", LINEAR, "glimt q4"],
    ["vision, bf16", VISION, "glimt bf16"],
    ["prefill, bf16", PREFILL, "glimt bf16"],
    ["prefill, q8", PREFILL, "glimt q8"],
    ["prefill, q4", PREFILL, "glimt q4"],
  ].map(([title = "", name = "", contestant = ""]) =>
    least(`two threads over one: ${title}`, 1.9, "x", (results) =>
      over(results.ms(name, contestant, 1), results.ms(name, contestant, 2)),
    ),
  ),
  ...(["q8", "q4"] as const).flatMap((format) => decoding(format)),
  ...(["AVX2", "AVX-512"] as const).map((host) => ({
    ...least(
      `q8 prefill of 512, 2 threads`,
      host === "AVX2" ? 1 : 0.85,
      "x llama.cpp Q8_0",
      (results) => over(results.ms(PREFILL, "llama.cpp Q8_0", 2), results.ms(PREFILL, "glimt q8", 2)),
      // As if all of it were such products.
      (results) =>
        over(results.ms(PREFILL, "llama.cpp Q8_0", 2), leastMs(results, PREFILL, "glimt q8", 2, "q8Product")),
    ),
    host,
  })),
  least("bf16 decode, 1 thread", 0.9, "of reading", (results) =>
    shareOfReading(results, DECODE, "glimt bf16", 1),
  ),
  ...[1, 2].map((threads) =>
    least(
      `vision 616 x 812, bf16, ${threads} thread${threads > 1 ? "s" : ""}`,
      0.85,
      "of the peak",
      (results) => shareOfPeak(results, VISION, "glimt bf16", threads),
    ),
  ),
  most("vision 616 x 812, q8 tower, 2 threads", 0.72, "x the time of bf16", (results) =>
    over(results.ms(VISION, "glimt q8 tower", 2), results.ms(VISION, "glimt bf16", 2)),
  ),
  {
    ...most("vision 616 x 812, q8 tower, 2 threads", 1, "x the time of torch f32", (results) =>
      over(results.ms(VISION, "glimt q8 tower", 2), results.ms(VISION, "torch f32", 2)),
    ),
    host: "AVX2",
  },
  {
    title: "vision 1036 x 1036, bf16, 2 threads",
    expected: "share of the peak as at 616 x 812",
    judge(results) {
      const small = shareOfPeak(results, VISION, "glimt bf16", 2);
      const large = shareOfPeak(results, LARGE_VISION, "glimt bf16", 2);
      if (small === undefined || large === undefined) return undefined;
      return { found: `${large.toFixed(3)}, there ${small.toFixed(3)}`, ok: large >= small };
    },
  },
  least("bf16 decode at 8 k, 2 threads", 0.75, "of reading, with the cache", (results) =>
    shareOfReading(results, LONG_DECODE, "glimt bf16", 2),
  ),
  least("bf16 weights, q8 cache, at 8 k", 0.7, "x the speed at 128", (results) =>
    over(results.ms(DECODE, "glimt bf16, q8 cache", 2), results.ms(LONG_DECODE, "glimt bf16, q8 cache", 2)),
  ),
];

function decoding(format: "q8" | "q4"): Target[] {
  const peer = { q8: "Q8_0", q4: "Q4_0" }[format];
  const multiple = { q8: 7, q4: 15 }[format];
  const reading = (results: Results) => shareOfReading(results, DECODE, `glimt ${format}`, 2);
  const faster = (results: Results, other: string) =>
    over(results.ms(DECODE, `${other} ${peer}`, 2), results.ms(DECODE, `glimt ${format}`, 2));
  return [
    least(`${format} decode, 2 threads`, 0.75, "of reading", reading),
    {
      title: `${format} decode, 2 threads`,
      expected: `at least 1.2 x llama.cpp ${peer}, or 0.9 of reading`,
      judge(results) {
        const [speed, share] = [faster(results, "llama.cpp"), reading(results)];
        if (speed === undefined || share === undefined) return undefined;
        return { found: `${speed.toFixed(2)} x, ${share.toFixed(3)}`, ok: speed >= 1.2 || share >= 0.9 };
      },
    },
    least(`${format} decode, 2 threads`, multiple, `x wllama ${peer}`, (results) =>
      faster(results, "wllama"),
    ),
  ];
}

/** Judges a run. What is missed, and would be at the ceilings too, is no failure. */
export function judgeAll(
  results: Results,
  host: HostClass,
  targets: readonly Target[] = TARGETS,
): Judgement[] {
  return targets.map((target) => {
    const judged = target.judge(results);
    const limit = judged?.ok ? undefined : target.limit?.(results);
    const { title, expected, host: holdsFor = "all" } = target;
    const isOther = target.host !== undefined && target.host !== host;
    const found = [judged?.found, limit && `of ${limit.allowed}`].filter(Boolean).join(" ");
    return { title, expected, host: holdsFor, found, verdict: verdictOf(judged, limit, isOther) };
  });
}

function verdictOf(
  judged: { readonly ok: boolean } | undefined,
  limit: { readonly reachable: boolean } | undefined,
  isOther: boolean,
): Judgement["verdict"] {
  if (!judged) return "not measured";
  if (isOther) return "other host";
  if (judged.ok) return "pass";
  return limit?.reachable === false ? "limit" : "FAIL";
}

/** 1 where something that holds for this host was missed, else 0. */
export function exitCode(judgements: readonly Judgement[]): 0 | 1 {
  return judgements.some(({ verdict }) => verdict === "FAIL") ? 1 : 0;
}

/** Share of what the machine computes at best on as many threads. */
export function shareOfPeak(
  results: Results,
  name: string,
  contestant: string,
  threads: number,
  loop = "multiplyAdd",
) {
  const operations = results.find(name, contestant, threads)?.operations;
  const ms = results.ms(name, contestant, threads);
  const peak = results.ceiling(loop, threads);
  if (operations === undefined || ms === undefined || peak === undefined) return undefined;
  return (1000 * operations) / ms / peak;
}

/** Milliseconds that its operations take at a ceiling. */
function leastMs(results: Results, name: string, contestant: string, threads: number, loop: string) {
  const operations = results.find(name, contestant, threads)?.operations;
  const peak = results.ceiling(loop, threads);
  return operations === undefined || peak === undefined ? undefined : (1000 * operations) / peak;
}

/** Share of what the machine reads on as many threads. */
export function shareOfReading(results: Results, name: string, contestant: string, threads: number) {
  const outcome = results.find(name, contestant, threads);
  return outcome && outcomeReading(outcome);
}

function over(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

type Figure = (results: Results) => number | undefined;

function least(title: string, bound: number, of: string, figure: Figure, allowed?: Figure): Target {
  return bounded(title, `at least ${bound} ${of}`, figure, (value) => value >= bound, allowed);
}

function most(title: string, bound: number, of: string, figure: Figure): Target {
  return bounded(title, `at most ${bound} ${of}`, figure, (value) => value <= bound);
}

function bounded(
  title: string,
  expected: string,
  figure: Figure,
  holds: (value: number) => boolean,
  allowed: Figure = () => undefined,
): Target {
  return {
    title,
    expected,
    judge(results) {
      const value = figure(results);
      return value === undefined ? undefined : { found: value.toFixed(3), ok: holds(value) };
    },
    limit(results) {
      const value = allowed(results);
      return value === undefined ? undefined : { allowed: value.toFixed(3), reachable: holds(value) };
    },
  };
}
