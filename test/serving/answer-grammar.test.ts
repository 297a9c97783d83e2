/** Where a grammar holds in an answer: behind its thinking, at each draft as if those before were right, up to its end. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { CompiledGrammars } from "../../src/grammar/compiled-grammars.ts";
import { AnswerGrammar } from "../../src/serving/answer-grammar.ts";
import { ThinkingTokens } from "../../src/serving/thinking.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";

const tokenizer = await loadTokenizer(await openDirectory("test/golden/data/glm_ocr-tiny"));
const id = (token: string) => tokenizer.idOf(token) as number;
const [think, close, call, user, end] = [
  "<think>",
  "</think>",
  "<tool_call>",
  "<|user|>",
  "<|endoftext|>",
].map(id) as [number, number, number, number, number];
const vocabSize = tokenizer.vocabSize + 20;
const grammars = new CompiledGrammars({ tokenizer, vocabSize });
const grammar = await grammars.open({ kind: "choice", choices: ["ab", "ac"] }, [end], undefined);

const answer = (prompt: readonly number[]) =>
  new AnswerGrammar({ grammar, thinking: new ThinkingTokens(tokenizer), endIds: [end], vocabSize, prompt });
const allowed = (mask: Int32Array | null | undefined) =>
  mask &&
  Array.from({ length: vocabSize }, (_, token) => token).filter(
    (token) => ((mask[token >> 5] as number) >>> (token & 31)) & 1,
  );

test("the mask behind each draft, as if those before were right; none counts behind one that is not", () => {
  const open = answer([think, close]);
  const whole = [id("a"), id("b"), end];
  assert.equal(open.masks(whole).map(allowed), [
    [id("a")],
    [id("b"), id("c")].sort((x, y) => x - y),
    [end],
    null,
  ]);
  assert.equal(open.masks([id("b"), id("a")]).map(allowed), [[id("a")], null, null]);
  assert.equal(open.allowedOf(whole), [id("a"), id("b")], "nothing follows an end");
  assert.equal(open.allowedOf([id("a"), end]), [id("a")]);
  assert.equal(open.allowedOf([id("b")]), []);
  assert.equal(open.masks([]).map(allowed), [[id("a")]], "asking changes nothing");
  for (const token of whole) open.accept(token);
  assert.equal(open.masks([]), [null]);
});

test("a guess behind which it would take too long is none: without it nobody would ask", async () => {
  const source = "ab|x(((a{1,30}){1,30}){1,30}){1,30}";
  const costly = await grammars.open({ kind: "regex", source }, [end], undefined);
  const thinking = new ThinkingTokens(tokenizer);
  const open = new AnswerGrammar({
    grammar: costly,
    thinking,
    endIds: [end],
    vocabSize,
    prompt: [think, close],
  });
  const all = [id("x"), ...new Array(80).fill(id("a"))];
  const guesses = open.allowedOf(all);
  assert.ok(guesses.length < all.length, "it takes too long to follow all of them");
  const most = await open.prepare(guesses);
  assert.is(open.masks(guesses.slice(0, most)).length, most + 1);
  // What is chosen is refused as it is without guesses.
  assert.throws(() => {
    for (const token of all) {
      open.accept(token);
      open.masks([]);
    }
  }, /in so many ways/);
});

test("while thinking is open all but an end may come", () => {
  const open = answer([think]);
  const free = allowed(open.masks([])[0]) as number[];
  for (const token of [end, call, user]) assert.not(free.includes(token));
  assert.is(free.length, vocabSize - tokensThatClose());
  assert.equal(
    open
      .masks([id("x"), close])
      .map(allowed)
      .slice(1),
    [free, [id("a")]],
  );
  open.accept(id("x"));
  open.accept(close);
  assert.equal(open.masks([]).map(allowed), [[id("a")]]);
});

test("where the prompt leaves it to the model, thinking may come first, and only there", () => {
  const open = answer([id("<|assistant|>")]);
  assert.equal(
    open.masks([id("a")]).map((mask) => allowed(mask)?.includes(think)),
    [true, false],
  );
  open.accept(think);
  assert.ok((allowed(open.masks([])[0]) as number[]).length > 100);
});

/** Turns, a call, and the end of the test's own. */
function tokensThatClose(): number {
  const turns = ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"].filter(
    (token) => tokenizer.idOf(token) !== null,
  );
  return turns.length + [call, end].length;
}

test.run();
