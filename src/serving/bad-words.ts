/** Words that an answer must not have: the last token of one is banned where those before it stand. */
import type { Tokenizer } from "../text/tokenizer.ts";

/** Each word's tokens as it is at the start of a text, and behind a blank where those are others. */
export function badWordTokens(words: readonly string[], tokenizer: Pick<Tokenizer, "encode">): number[][] {
  const found = new Map<string, number[]>();
  for (const word of words.map((text) => text.trimStart())) {
    for (const text of [word, ` ${word}`]) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      found.set(ids.join(), ids);
    }
  }
  return [...found.values()];
}

/** The tokens that would end a bad word behind `tail`, the last tokens of the answer. */
export function bannedBehind(tail: readonly number[], badWords: readonly (readonly number[])[]): number[] {
  return badWords.flatMap((word) => {
    const before = word.length - 1;
    const first = tail.length - before;
    if (first < 0) return [];
    for (let index = 0; index < before; index++) if (tail[first + index] !== word[index]) return [];
    return word[before] as number;
  });
}
