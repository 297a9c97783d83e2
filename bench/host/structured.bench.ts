/**
 * Structured output on a vocabulary of GLM's size: reading what is asked for, and masks of states that are reached for the
 * first time and again; "held" is how long other tasks wait at most while they are made for a request. The words are made up: 151,329 texts of up to 7 letters, blanks, digits and signs.
 */
import { nextTask } from "../../src/event-loop.ts";
import { Matcher, type State } from "../../src/grammar/matcher.ts";
import { compileStructured, type StructuredText } from "../../src/grammar/structured.ts";
import { TokenMasks } from "../../src/grammar/token-masks.ts";
import { buildTokenTrie, type TokenTrie } from "../../src/grammar/token-trie.ts";
import { noise, row } from "../kernels.ts";

const TOKENS = 151_329;
const VOCABULARY = 151_552;
/** As byte-level vocabularies write them: Ġ is a blank, Ċ a line break. */
const CHARACTERS = [...'etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLU0123456789ĠĠĠĠ""{}[],,::.-_Ċ'];
const END = TOKENS;

function words(): string[] {
  const found = new Set(CHARACTERS);
  const picks = noise(24 * TOKENS);
  const pick = (at: number, count: number) => Math.floor((((picks[at] as number) + 1) / 2) * count);
  for (let at = 0; found.size < TOKENS; at += 8) {
    const letters = Array.from({ length: 2 + pick(at, 6) }, (_, index) =>
      pick(at + 1 + index, CHARACTERS.length),
    );
    found.add(letters.map((letter) => CHARACTERS[letter]).join(""));
  }
  return [...found];
}

const object = (properties: object) => ({ type: "object", properties, required: Object.keys(properties) });
const schema = (value: unknown): StructuredText => ({ kind: "jsonSchema", source: JSON.stringify(value) });
const field = (index: number) => [`field ${index}`, { type: index % 2 === 0 ? "string" : "number" }] as const;

/** What is asked for, and a text of it that the answer becomes. */
const CASES: readonly [name: string, asked: StructuredText, answer: string][] = [
  [
    "schema, 3 properties",
    schema(object({ name: { type: "string" }, total: { type: "number" }, paid: { type: "boolean" } })),
    '{"name": "Anna of the shop", "total": 12.50, "paid": true}',
  ],
  [
    "schema, 40 properties",
    schema(object(Object.fromEntries(Array.from({ length: 40 }, (_, index) => field(index))))),
    `{${Array.from({ length: 40 }, (_, index) => `"field ${index}": ${index % 2 === 0 ? '"ab"' : "1"}`).join(", ")}}`,
  ],
  ["any JSON, 10 levels", schema(true), `${'{"a": [1, '.repeat(10)}true${"]}".repeat(10)}`],
  ["maxLength 2000", schema({ type: "string", maxLength: 2000 }), `"${"text ".repeat(60)}"`],
  [
    "one of 5,000 texts",
    { kind: "choice", choices: Array.from({ length: 5000 }, (_, index) => `${(index * 7919) % 5000} texts`) },
    "4321 texts",
  ],
  ["(\\p{L}+ ?)+\\d{4}", { kind: "regex", source: "(\\p{L}+ ?)+\\d{4}" }, "words of letters 1234"],
];

function timed<T>(run: () => T): [milliseconds: number, result: T] {
  const start = performance.now();
  const result = run();
  return [performance.now() - start, result];
}

/** The longest that other tasks wait while the masks of a whole answer are prepared, in milliseconds. */
async function longestHold(trie: TokenTrie, asked: StructuredText, answer: string): Promise<number> {
  const matcher = new Matcher(compileStructured(asked));
  const masks = new TokenMasks(matcher, { trie, vocabSize: VOCABULARY, endIds: [END], marks: new Map() });
  let longest = 0;
  let last = performance.now();
  let isDone = false;
  const look = () => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    if (!isDone) setImmediate(look);
  };
  setImmediate(look);
  await nextTask();
  let state: State | null = matcher.start;
  for (const byte of new TextEncoder().encode(answer)) {
    if (!state) throw new Error(`${answer} is no text of it`);
    await masks.prepare(state);
    matcher.beginWork();
    state = matcher.afterByte(state, byte);
  }
  await nextTask();
  isDone = true;
  return longest;
}

/** Every byte of the answer is followed, as tokens of one byte would be. */
function measure(trie: TokenTrie, asked: StructuredText, answer: string): number[] {
  const [read, automaton] = timed(() => compileStructured(asked));
  const matcher = new Matcher(automaton);
  const masks = new TokenMasks(matcher, { trie, vocabSize: VOCABULARY, endIds: [END], marks: new Map() });
  const fresh: number[] = [];
  const known: number[] = [];
  const seen = new Set<State>();
  let state: State | null = matcher.start;
  for (const byte of [...new TextEncoder().encode(answer), -1]) {
    if (!state) throw new Error(`${answer} is no text of it`);
    const here = state;
    if (!seen.has(here)) fresh.push(timed(() => masks.of(here))[0]);
    seen.add(here);
    known.push(timed(() => masks.of(here))[0]);
    matcher.beginWork();
    if (byte >= 0) state = matcher.afterByte(here, byte);
  }
  if (!state?.isComplete) throw new Error(`${answer} is not whole`);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return [read, mean(fresh), Math.max(...fresh), 1000 * mean(known)];
}

const [building, trie] = timed(() => buildTokenTrie(words()));
console.log(`${TOKENS} tokens, ${trie.bytes.length} nodes; words and tree made in ${building.toFixed(0)} ms`);
console.log(row("", "read ms", "new ms", "most ms", "known µs", "held ms"));
for (const [name, asked, answer] of CASES) {
  const found = [...measure(trie, asked, answer), await longestHold(trie, asked, answer)];
  console.log(row(name, ...found.map((value) => value.toFixed(1))));
}
