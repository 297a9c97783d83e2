/** The GGUF models of make_gguf.py, each with what transformers answers with the values of its weights. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { float32 } from "../mrope/golden.ts";
import { goldenCase, goldenDataDir } from "./load.ts";

export const GGUF_FOLDER = join(goldenDataDir, "gguf");

export interface GgufModel {
  readonly name: string;
  /** The checkpoint that it was made of, whose tower it takes. */
  readonly base: string;
  /** The first part, of several. */
  readonly file: string;
  readonly parts: readonly string[];
  /** [vocabSize] behind the prompt. */
  readonly lastLogits: Float32Array;
  readonly greedyIds: readonly number[];
}

type Answer = { readonly lastLogits: string; readonly greedyIds: readonly number[] };

/** Answers to one of the two cases that all have. */
export function ggufModels(name: "text" | "one-image"): GgufModel[] {
  const recorded = JSON.parse(readFileSync(join(GGUF_FOLDER, "expected.json"), "utf8"));
  const own: Readonly<Record<string, { base: string; answer?: Answer }>> = {
    "glm4v-tiny": { base: "glm4v-tiny", answer: recorded.cases[name] },
    "glm46v-flash-padded": { base: recorded.padded.base, answer: recorded.padded.cases[name] },
    "glm4v_moe-mtp": { base: recorded.mtp.base },
  };
  const files = readdirSync(GGUF_FOLDER).filter((file) => /^(?!mmproj).*\.gguf$/.test(file));
  const stems = new Set(files.map((file) => file.replace(/(-\d+-of-\d+)?\.gguf$/, "")));
  return [...stems].sort().map((stem) => {
    const { base, answer } = own[stem] ?? { base: stem };
    const golden = goldenCase(base, name);
    const parts = files.filter((file) => file.startsWith(`${stem}.`) || file.startsWith(`${stem}-0`)).sort();
    return {
      name: stem,
      base,
      file: join(GGUF_FOLDER, parts[0] as string),
      parts: parts.map((part) => join(GGUF_FOLDER, part)),
      lastLogits: answer ? float32(answer.lastLogits) : golden.lastLogits.data,
      greedyIds: answer?.greedyIds ?? golden.greedyIds,
    };
  });
}
