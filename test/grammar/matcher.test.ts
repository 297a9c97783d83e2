/** What following a grammar costs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Matcher } from "../../src/grammar/matcher.ts";
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

test.run();
