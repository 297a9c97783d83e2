/** What of grammars runs in a worker: reading what strangers wrote, and sorting a vocabulary. */
import { GlimtError } from "../errors.ts";
import { handOver } from "../workers/task.ts";
import type { Automaton } from "./automaton.ts";
import { compileStructured, type StructuredText } from "./structured.ts";
import { buildTokenTrie, type TokenTrie } from "./token-trie.ts";

export type GrammarTasks = ReturnType<typeof grammarTasks>;

export function grammarTasks() {
  return {
    async compileStructured(asked: StructuredText): Promise<Automaton> {
      try {
        const automaton = compileStructured(asked);
        const { edges, edgesFrom, isEnd } = automaton;
        return handOver(automaton, [edges.buffer, edgesFrom.buffer, isEnd.buffer] as ArrayBuffer[]);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new GlimtError(
          "OPTION_INVALID",
          "structured holds too much, or too much in one another, to be read.",
        );
      }
    },

    async buildTokenTrie(tokens: readonly (string | null)[]): Promise<TokenTrie> {
      const trie = buildTokenTrie(tokens);
      const { bytes, depths, behind, ids, idsFrom } = trie;
      return handOver(
        trie,
        [bytes, depths, behind, ids, idsFrom].map(({ buffer }) => buffer as ArrayBuffer),
      );
    },
  };
}
