/** `glimt run` with several answers, and what it shows of thinking. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AnswerOutput } from "../../src/cli/answer-output.ts";
import { runCommand } from "../../src/cli/run.ts";
import type { GenerationResult } from "../../src/index.ts";

function run(...args: string[]): string {
  const asked = [
    "dist/cli.js",
    "run",
    "test/golden/data/glm4v-tiny",
    "Hi",
    "--max-tokens",
    "6",
    "--backend",
    "wasm",
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...asked, ...args], { encoding: "utf8" });
  assert.is(status, 0, stderr);
  return stdout;
}

test("--n gives so many answers: the first as it comes, the others behind it", () => {
  const sampled = ["--temperature", "2", "--seed"];
  const { choices, ...first } = JSON.parse(run(...sampled, "7", "--n", "2", "--json"));
  const second = JSON.parse(run(...sampled, "8", "--json"));
  assert.equal(
    choices.map(({ text }: { text: string }) => text),
    [first.text, second.text],
  );
  assert.is(first.content, first.text);
  assert.is(run(...sampled, "7", "--n", "2"), `${first.text}\n\n--- answer 2 of 2 ---\n${second.text}\n`);
});

test("on a terminal thinking is dimmed", () => {
  const written: string[] = [];
  const output = new AnswerOutput({ isTTY: true, write: (text) => written.push(text) });
  const event = { tokenId: 0, index: 0, choice: 0, finishReason: null, usage: null };
  output.show({ ...event, type: "reasoning", text: "<think>", reasoning: "" });
  output.show({ ...event, type: "reasoning", text: "a", reasoning: "a" });
  output.show({ ...event, type: "text", text: "b", content: "b", boxed: false });
  output.end({ choices: [{ text: "b" }] } as unknown as GenerationResult);
  assert.is(written.join(""), "\u001b[2m<think>a\u001b[22mb\n");
});

test("--attention tells of each token what it looks at in each picture", () => {
  const image = [
    "--image",
    "test/golden/data/images/small.png",
    "--image",
    "test/golden/data/images/sign.png",
  ];
  const { attention, imageGridThw } = JSON.parse(run(...image, "--attention", "--json", "--n", "2"));
  assert.equal(
    attention.map(({ choice, index }: { choice: number; index: number }) => `${choice}.${index}`).sort(),
    ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5"],
  );
  for (const { media } of attention) {
    for (const [place, { type, grid, weights }] of media.entries()) {
      const [t, h, w] = imageGridThw[place];
      assert.equal([type, grid], ["image", [t, h / 2, w / 2]]);
      assert.is(weights.length, (t * h * w) / 4);
      assert.ok(weights.every((weight: unknown) => Number(weight) > 0));
    }
  }
});

for (const [flag, ...value] of [["--logprobs", "3"], ["--attention"]]) {
  test(`${flag} without --json would show nothing, and is refused before anything is loaded`, async () => {
    try {
      await runCommand().parseAsync(["nowhere", "Hi", flag as string, ...value], { from: "user" });
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      assert.is(code, "OPTION_INVALID", message);
      assert.match(message, new RegExp(`${flag}.*add --json`));
      return;
    }
    assert.unreachable();
  });
}

test.run();
