/** Masks are what asking the automaton for each token by itself says. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CompiledGrammars } from "../../src/grammar/compiled-grammars.ts";
import type { State } from "../../src/grammar/matcher.ts";
import type { StructuredText } from "../../src/grammar/structured.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { fc } from "../property.ts";

const ASKED: readonly StructuredText[] = [
  { kind: "regex", source: "[a-zé日]+( [a-z]{2,5})*|\\d{3}" },
  { kind: "choice", choices: ["yes", "no", "not at all", "日本"] },
  { kind: "grammar", source: 'root ::= "(" root ")" | [a-z ]+' },
  {
    kind: "jsonSchema",
    source: JSON.stringify({
      type: "object",
      properties: { name: { type: "string" }, n: { type: "integer" }, list: { type: "array", items: {} } },
      required: ["name", "list"],
    }),
  },
];

for (const family of ["glm_ocr-tiny", "glm4v-tiny"]) {
  const read = (name: string) => JSON.parse(readFileSync(`test/golden/data/${family}/${name}`, "utf8"));
  const tokenizer = createTokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  const vocabSize = tokenizer.vocabSize + 45;
  const endIds = [336, 341];

  for (const asked of ASKED) {
    test(`${family}, ${asked.kind}: a walk of allowed tokens`, async () => {
      const grammars = new CompiledGrammars({ tokenizer, vocabSize });
      const { matcher, masks } = await grammars.open(asked, endIds, undefined);
      const added = new Set(tokenizer.addedTokens.map((token) => tokenizer.idOf(token)));
      const judge = (state: State, id: number) => {
        if (endIds.includes(id)) return state.isComplete;
        const bytes = added.has(id) ? new Uint8Array() : tokenizer.bytesOf(id);
        return bytes.length > 0 && matcher.afterBytes(state, bytes) !== null;
      };
      fc.assert(
        fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 25 }), (picks) => {
          let state = matcher.start;
          const chosen: number[] = [];
          for (const pick of picks) {
            const mask = masks.of(state);
            assert.is(mask.length, Math.ceil(vocabSize / 32));
            const allowed = Array.from({ length: mask.length * 32 }, (_, id) => id).filter((id) =>
              isSet(mask, id),
            );
            assert.equal(
              allowed,
              Array.from({ length: vocabSize }, (_, id) => id).filter((id) => judge(state, id)),
            );
            assert.ok(allowed.length > 0);
            const id = allowed[pick % allowed.length] as number;
            if (endIds.includes(id)) return;
            chosen.push(id);
            state = matcher.afterBytes(state, tokenizer.bytesOf(id)) as State;
          }
        }),
        { numRuns: 15 },
      );
    });
  }

  test(`${family}: masks that are made in pieces, of several states at once, are those that are made at once`, async () => {
    const opened = () =>
      new CompiledGrammars({ tokenizer, vocabSize }).open(ASKED[3] as never, endIds, undefined);
    const [whole, pieces] = [await opened(), await opened()];
    const texts = ["", "{", '{"', '{"name": "a'].map((text) => new TextEncoder().encode(text));
    const states = ({ matcher }: typeof whole) =>
      texts.map((text) => matcher.afterBytes(matcher.start, text) as State);
    const found = states(pieces);
    await Promise.all([...found, ...found].map((state) => pieces.masks.prepare(state)));
    assert.equal(
      found.map((state) => pieces.masks.of(state)),
      states(whole).map((state) => whole.masks.of(state)),
    );
  });

  test(`${family}: what is not whole may always be ended`, async () => {
    const grammars = new CompiledGrammars({ tokenizer, vocabSize });
    const { matcher, masks } = await grammars.open(ASKED[3] as StructuredText, endIds, undefined);
    let state = matcher.start;
    let text = "";
    // The last allowed id leads through brackets to an end, the first through strings.
    for (let count = 0; count < 400 && !state.isComplete; count++) {
      const mask = masks.of(state);
      const allowed = Array.from({ length: vocabSize }, (_, id) => id).filter((id) => isSet(mask, id));
      const closes = allowed.find((id) => /^["}\]]/.test(tokenizer.decode([id])));
      const id = closes ?? (allowed[0] as number);
      text += tokenizer.decode([id]);
      state = matcher.afterBytes(state, tokenizer.bytesOf(id)) as State;
    }
    assert.ok(state.isComplete, text);
    JSON.parse(text);
  });
}

test("an aborted request does not wait, and leaves the others their grammar", async () => {
  const read = (name: string) => JSON.parse(readFileSync(`test/golden/data/glm4v-tiny/${name}`, "utf8"));
  const tokenizer = createTokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  const grammars = new CompiledGrammars({ tokenizer, vocabSize: 400 });
  const asked = ASKED[0] as StructuredText;
  const stop = new AbortController();
  const aborted = grammars.open(asked, [336], stop.signal);
  stop.abort();
  await aborted.then(
    () => assert.unreachable(),
    (error) => assert.is(error.code, "ABORTED"),
  );
  const again = await grammars.open(asked, [336], undefined);
  assert.is(await grammars.open(asked, [336], undefined), again);
});

function isSet(mask: Int32Array, id: number): boolean {
  return (((mask[id >> 5] as number) >>> (id & 31)) & 1) === 1;
}

test.run();
