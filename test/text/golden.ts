/** Reads what test/golden/make_text.py recorded from Hugging Face. */
import { readFileSync } from "node:fs";
import type { ChatMessage } from "../../src/text/messages.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";

export interface GoldenTokenizer {
  readonly tokenizer: unknown;
  readonly config: unknown;
  readonly length: number;
  readonly specialIds: readonly number[];
  readonly encode: readonly (readonly [text: string, ids: readonly number[]])[];
  /** Ids, their text without special tokens, and with them. */
  readonly decode: readonly (readonly [ids: readonly number[], skipped: string, full: string])[];
}

export const TOKENIZER_NAMES = ["bpe", "ignore-merges", "adds-prefix"] as const;

export function goldenTokenizer(name: string): { golden: GoldenTokenizer; tokenizer: Tokenizer } {
  const golden = read(name) as GoldenTokenizer;
  return { golden, tokenizer: createTokenizer(golden.tokenizer, golden.config) };
}

export interface GoldenTemplates {
  readonly chats: Readonly<Record<string, readonly ChatMessage<string, string>[]>>;
  readonly cases: readonly {
    readonly template: string;
    readonly chat: string;
    readonly variant: Readonly<Record<string, unknown>>;
    /** Null where Hugging Face refuses. */
    readonly text: string | null;
  }[];
}

export function goldenTemplates(): GoldenTemplates {
  return read("templates") as GoldenTemplates;
}

export function templateSource(file: string): string {
  return readFileSync(`test/golden/templates/${file}`, "utf8");
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(`test/golden/data/text/${name}.json`, "utf8"));
}
