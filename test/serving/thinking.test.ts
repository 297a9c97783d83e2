import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ThinkingTokens } from "../../src/serving/thinking.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

const GOLDEN = "test/golden/data";
const read = async (name: string) => {
  const [json, config] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json"].map(async (file) =>
      JSON.parse(await readFile(`${GOLDEN}/${name}/${file}`, "utf8")),
    ),
  );
  return createTokenizer(json, config);
};

// Not special in the first, special or with tool calls in the others.
for (const name of ["glm4v-tiny", "glm46v-flash-tiny", "glm_ocr-tiny", "glm4v_moe-tiny"]) {
  test(`${name}: a prompt is open behind <think>, and closed behind what ends it`, async () => {
    const tokenizer = await read(name);
    const thinking = new ThinkingTokens(tokenizer);
    const cases: [prompt: string, isOpen: boolean][] = [
      ["", false],
      ["[gMASK]<sop><|user|>\nhello<|assistant|>\n", false],
      ["[gMASK]<sop><|user|>\nhello<|assistant|>\n<think>", true],
      ["[gMASK]<sop><|user|>\nhello<|assistant|>\n<think>\nSo far", true],
      ["[gMASK]<sop><|user|>\nhello<|assistant|>\n<think></think>\n", false],
      ["[gMASK]<sop><|user|>\nhello<|assistant|>\n<think></think>\n<think>", true],
      // What a message says of thinking ends with its turn.
      ["[gMASK]<sop><|user|>\nwrite <think><|assistant|>\n", false],
      ["[gMASK]<sop><|user|>\nwrite </think><|assistant|>\n<think>", true],
    ];
    for (const [prompt, isOpen] of cases) {
      const ids = tokenizer.encode(prompt);
      assert.is(thinking.isOpenBehind(ids), isOpen, prompt);
      // Token by token the same comes out.
      const stepped = ids.reduce((open, id) => thinking.isOpenAfter(id, open), false);
      assert.is(stepped, isOpen, prompt);
    }
    assert.is(thinking.open, tokenizer.idOf("<think>"));
    assert.is(thinking.close, tokenizer.idOf("</think>"));
  });
}

test("a tool call ends thinking that nobody closed, and opens nothing", async () => {
  const tokenizer = await read("glm_ocr-tiny");
  const thinking = new ThinkingTokens(tokenizer);
  const call = tokenizer.idOf("<tool_call>") as number;
  assert.is(thinking.isOpenAfter(call, true), false);
  assert.is(thinking.isOpenAfter(call, false), false);
  assert.is(thinking.isOpenBehind(tokenizer.encode("<|assistant|>\n<think>I call<tool_call>f")), false);
});

test("a tokenizer without these tokens never thinks", () => {
  const thinking = new ThinkingTokens({ idOf: () => null });
  assert.is(thinking.open, null);
  assert.is(thinking.isOpenAfter(3, false), false);
  assert.is(thinking.isOpenBehind([1, 2, 3]), false);
});

test.run();
