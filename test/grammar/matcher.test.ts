/** What following a grammar costs: time in one go, and memory for as long as a model lives. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Matcher, type State } from "../../src/grammar/matcher.ts";
import { compileStructured } from "../../src/grammar/structured.ts";

const ofRegex = (source: string) => new Matcher(compileStructured({ kind: "regex", source }));
const bytes = (text: string) => new TextEncoder().encode(text);

test("what can be read in very many ways is refused, whether the ways are places or edges", () => {
  for (const source of ["(a{1,300}){1,300}", `(${"a|".repeat(50_000)}a){1000}`]) {
    const matcher = ofRegex(source);
    matcher.beginWork();
    assert.throws(() => matcher.afterBytes(matcher.start, bytes("a".repeat(128))), /in so many ways/);
  }
});

test("many alternatives that begin differently cost little", () => {
  const choices = Array.from({ length: 50_000 }, (_, index) => [...String(index)].reverse().join(""));
  const matcher = new Matcher(compileStructured({ kind: "choice", choices }));
  matcher.beginWork();
  for (let byte = 0; byte < 256; byte++) matcher.afterByte(matcher.start, byte);
});

test("what is forgotten is not held by where texts begin", () => {
  const matcher = new Matcher(compileStructured({ kind: "grammar", source: 'root ::= "(" root ")" | [ab]' }));
  const sizes: number[] = [];
  for (let round = 0; round < 3; round++) {
    matcher.beginWork();
    let state: State = matcher.start;
    const first = state;
    for (let depth = 0; depth < 40_000 && matcher.start === first; depth++) {
      matcher.beginWork();
      state = matcher.renewed(matcher.afterBytes(state, bytes("(")) as State);
    }
    sizes.push(reachable(matcher.start));
  }
  assert.ok(Math.max(...sizes) < 1000, `${sizes}`);
});

function reachable(start: State): number {
  const seen = new Set([start]);
  for (const state of seen) for (const next of state.next) if (next) seen.add(next);
  return seen.size;
}

test.run();
