/** The grammars that a model's requests ask for: read in a worker, kept while they are among the last. */
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { CallOptions } from "../workers/task.ts";
import { HeapOutgrown } from "../workers/thread.ts";
import { Workers } from "../workers/workers.ts";
import { FIRST_MARK } from "./automaton.ts";
import { inlineTasks } from "./inline-tasks.ts";
import { Matcher } from "./matcher.ts";
import type { StructuredText } from "./structured.ts";
import type { GrammarTasks } from "./tasks.ts";
import { TokenMasks } from "./token-masks.ts";
import { isText, type TokenTrie } from "./token-trie.ts";
import { CALL_TAGS, OTHER_MARK } from "./tool-calls.ts";

/** Grammars that are kept with the masks made for them. */
const MOST_KEPT = 8;
const MILLISECONDS = 10_000;

export interface GrammarParts {
  readonly tokenizer: Tokenizer;
  /** The width of the logits. */
  readonly vocabSize: number;
  /** Default: on this thread. */
  readonly workers?: Workers<GrammarTasks> | undefined;
}

export interface CompiledGrammar {
  readonly matcher: Matcher;
  readonly masks: TokenMasks;
  /** The bytes that a token is in its automaton: its text, or its mark; null for one that no answer has. */
  bytesOf(id: number): Uint8Array | null;
}

export class CompiledGrammars {
  readonly #tokenizer: Tokenizer;
  readonly #vocabSize: number;
  readonly #workers: Workers<GrammarTasks>;
  readonly #kept = new Map<string, CompiledGrammar>();
  #trie: TokenTrie | null = null;
  readonly #marks: ReadonlyMap<number, number>;

  constructor({ tokenizer, vocabSize, workers }: GrammarParts) {
    this.#tokenizer = tokenizer;
    this.#vocabSize = vocabSize;
    this.#workers = workers ?? new Workers({ starts: [], version: "", inline: inlineTasks });
    this.#marks = marksOf(tokenizer);
  }

  /**
   * @param endIds tokens that end an answer
   * @throws OPTION_INVALID naming what is wrong with it; TIMED_OUT; ABORTED
   */
  async open(
    asked: StructuredText,
    endIds: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<CompiledGrammar> {
    if (endIds.length === 0) {
      throw new GlimtError(
        "OPTION_INVALID",
        "structured: an answer that is whole has to end, and no token ends it: leave out ignoreEos, or give stopTokenIds.",
      );
    }
    const key = JSON.stringify([asked, endIds]);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const compiled = known ?? (await this.#compile(asked, endIds, signal));
    this.#kept.set(key, compiled);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
    return compiled;
  }

  async #compile(
    asked: StructuredText,
    endIds: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<CompiledGrammar> {
    const automaton = await this.#workers.run("compileStructured", asked, callOptions(signal));
    this.#trie ??= await this.#workers.run("buildTokenTrie", await this.#texts(signal), callOptions(signal));
    const matcher = new Matcher(automaton);
    const marks = new Map([...this.#marks].filter(([id]) => !endIds.includes(id)));
    const tokens = { trie: this.#trie, vocabSize: this.#vocabSize, endIds, marks };
    const bytesOf = (id: number) => {
      const byte = marks.get(id);
      if (byte !== undefined) return Uint8Array.of(byte);
      const bytes = this.#tokenizer.bytesOf(id);
      return this.#marks.has(id) || !isText(bytes) ? null : bytes;
    };
    return { matcher, masks: new TokenMasks(matcher, tokens), bytesOf };
  }

  /** Of tokens that are plain text: those that are found in text as a whole mean more than what they spell. */
  async #texts(signal: AbortSignal | undefined): Promise<(string | null)[]> {
    const texts: (string | null)[] = [];
    for (let id = 0; id < Math.min(this.#tokenizer.vocabSize, this.#vocabSize); id++) {
      texts.push(this.#marks.has(id) ? null : this.#tokenizer.tokenOf(id));
      if (id % 4096 === 0) await turnWhenDue(signal);
    }
    return texts;
  }
}

function marksOf({ addedTokens, idOf }: Tokenizer): Map<number, number> {
  const tags: readonly string[] = CALL_TAGS;
  return new Map(
    addedTokens.map((token) => {
      const index = tags.indexOf(token);
      return [idOf(token) as number, FIRST_MARK + (index < 0 ? OTHER_MARK : index)];
    }),
  );
}

function callOptions(signal: AbortSignal | undefined): CallOptions {
  return {
    signal,
    timeout: MILLISECONDS,
    errors: {
      late: (milliseconds) =>
        new GlimtError("TIMED_OUT", `structured was not read within ${milliseconds} ms: make it simpler.`),
      died: (reason, cause) =>
        new GlimtError(
          "OPTION_INVALID",
          cause instanceof HeapOutgrown
            ? `structured takes too much memory to be read (${reason}): make it simpler.`
            : `structured can not be read: the worker that read it is gone (${reason}).`,
          { cause },
        ),
      failed: (cause) =>
        new GlimtError(
          "OPTION_INVALID",
          `structured can not be read: ${(cause as Error)?.message ?? cause}.`,
          {
            cause,
          },
        ),
    },
  };
}
