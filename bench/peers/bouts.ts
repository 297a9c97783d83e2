/** Who is measured beside whom, in what: those of a bout are loaded together and take turns. */
import { DECODE, LARGE_VISION, LINEAR, LONG_DECODE, PREFILL, VISION } from "./targets.ts";

export interface Contestant {
  readonly name: string;
  readonly kind: "glimt" | "kernels" | "llama" | "wllama" | "torch";
  /** Format of the GGUF file, dtype of torch, or load options of glimt. */
  readonly setting: string;
  /** Of the model, for torch, which is not given the rest. */
  readonly part?: "decoder" | "vision";
  /** Cases that it sits out. */
  readonly without?: readonly string[];
}

export interface Case {
  readonly name: string;
  readonly task: "prefill" | "decode" | "vision" | "linear";
  readonly request: object;
  /** Asked for twice before the first turn. */
  readonly warmUp: object;
  readonly threads: readonly number[];
}

export interface Bout {
  readonly name: string;
  readonly contestants: readonly Contestant[];
  readonly cases: readonly Case[];
  /** Who chooses the tokens that the others are held against. */
  readonly judge?: string;
}

const PROMPT = Array.from({ length: 512 }, (_, index) => (index * 31 + 7) % 40);
const STEPS = 16;

const prefill: Case = {
  name: PREFILL,
  task: "prefill",
  request: { ids: PROMPT },
  warmUp: { ids: PROMPT.slice(0, 64) },
  threads: [2, 1],
};
export const decode: Case = {
  name: DECODE,
  task: "decode",
  request: { ids: PROMPT.slice(0, 128), steps: STEPS },
  warmUp: { ids: PROMPT.slice(0, 128), steps: 4 },
  threads: [2, 1],
};
const longDecode: Case = {
  name: LONG_DECODE,
  task: "decode",
  request: { ids: PROMPT, context: 8192, steps: STEPS },
  warmUp: { ids: PROMPT, context: 8192, steps: 4 },
  threads: [2],
};

function vision(name: string, height: number, width: number, threads: readonly number[]): Case {
  const warmUp = { height: 224, width: 224 };
  return { name, task: "vision", request: { height, width }, warmUp, threads };
}

function glimt(name: string, options: object): Contestant {
  return { name: `glimt ${name}`, kind: "glimt", setting: JSON.stringify(options) };
}

const torch = (["f32", "bf16"] as const).map(
  (dtype): Contestant => ({ name: `torch ${dtype}`, kind: "torch", setting: dtype, part: "decoder" }),
);

export const BOUTS: readonly Bout[] = [
  {
    name: "kernels",
    contestants: ["f32", "bf16", "q8", "q4"].map((format) => ({
      name: `glimt ${format}`,
      kind: "kernels",
      setting: format,
    })),
    cases: [
      {
        name: LINEAR,
        task: "linear",
        request: { rows: 1024, size: 1024, repeats: 3 },
        warmUp: { rows: 1024, size: 1024, repeats: 5 },
        threads: [1, 2],
      },
    ],
  },
  ...(["q8", "q4"] as const).map((format): Bout => {
    const other = { q8: "Q8_0", q4: "Q4_0" }[format];
    return {
      name: `text, ${format}`,
      judge: `glimt ${format}`,
      contestants: [
        glimt(format, { dtype: format }),
        { name: `llama.cpp ${other}`, kind: "llama", setting: other },
        // Five hundred tokens take it minutes.
        { name: `wllama ${other}`, kind: "wllama", setting: other, without: [PREFILL] },
      ],
      cases: [decode, prefill],
    };
  }),
  {
    name: "text, 16 and 32 bits",
    judge: "glimt bf16",
    contestants: [
      glimt("bf16", { dtype: "bf16" }),
      { name: "llama.cpp F16", kind: "llama", setting: "F16" },
      ...torch,
    ],
    cases: [decode, prefill],
  },
  {
    name: "long context",
    contestants: [
      glimt("bf16", { dtype: "bf16" }),
      glimt("bf16, bf16 cache", { dtype: "bf16", kvCacheDtype: "bf16" }),
      glimt("bf16, q8 cache", { dtype: "bf16", kvCacheDtype: "q8" }),
    ].map((contestant) =>
      contestant.name === "glimt bf16" ? { ...contestant, without: [DECODE] } : contestant,
    ),
    cases: [{ ...decode, threads: [2] }, longDecode],
  },
  {
    name: "vision",
    contestants: [
      glimt("bf16", { dtype: "bf16" }),
      glimt("q8 tower", { visionDtype: "q8" }),
      ...torch.map((contestant): Contestant => ({ ...contestant, part: "vision" })),
    ],
    cases: [
      vision(VISION, 616, 812, [2, 1]),
      // A minute a turn and more on one thread.
      vision(LARGE_VISION, 1036, 1036, [2]),
    ],
  },
];
