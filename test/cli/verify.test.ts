/** `glimt verify`: with a small file of the judge's without Python, and with Python where it has transformers. */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import { verifyCommand } from "../../src/cli/verify.ts";
import type { Check } from "../../src/verify/check.ts";
import { modelName, type VerifyReport, withoutPlaces } from "../../src/verify/report.ts";
import { quantisedFiles, quantisedFixture } from "../checkpoint/quantised-fixtures.ts";
import { complaint } from "./command.ts";

const DATA = "test/golden/data";
const MODEL = `${DATA}/glm4v-tiny`;
const EXPECTED = `${DATA}/verify.safetensors`;
const folder = mkdtempSync(join(tmpdir(), "glimt-verify-test-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function glimt(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/cli.js", "verify", ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

function report(...args: string[]): VerifyReport & { status: number | null } {
  const { status, stdout, stderr } = glimt(...args, "--json");
  assert.is(stderr, "");
  return { status, ...JSON.parse(stdout) };
}

const verdicts = ({ cases }: VerifyReport, name: string) =>
  Object.fromEntries(
    cases.find((one) => one.name === name)!.checks.map(({ stage, verdict }) => [stage, verdict]),
  );

const checkOf = ({ cases }: VerifyReport, name: string, stage: Check["stage"]) =>
  cases.find((one) => one.name === name)!.checks.find((check) => check.stage === stage)!;

/** A copy of the model in which `count` elements of a tensor of float32 are others. */
async function damaged(tensor: string, first: number, count: number, value: number): Promise<string> {
  const copy = mkdtempSync(join(folder, "damaged-"));
  cpSync(MODEL, copy, { recursive: true });
  const files = await openDirectory(copy);
  for (const file of ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]) {
    const bytes = readFileSync(join(copy, file));
    for (const { name, offset, dtype } of await readSafetensorsHeader(files, file, bytes.length)) {
      if (name !== tensor) continue;
      assert.is(dtype, "F32");
      for (let index = 0; index < count; index++) bytes.writeFloatLE(value, offset + 4 * (first + index));
      writeFileSync(join(copy, file), bytes);
      return copy;
    }
  }
  throw new Error(`no ${tensor}`);
}

test("the same model: everything is the same, and the report names no place", () => {
  const file = join(folder, "report.json");
  const { status, stdout } = glimt(MODEL, "--expected", EXPECTED, "--report", file);
  assert.is(status, 0, stdout);
  assert.match(stdout, /^glm4v-tiny \(Glm4vForConditionalGeneration\)/);
  assert.match(stdout, /32 of 32 tokens/);
  assert.match(stdout, /The same as transformers/);
  const text = readFileSync(file, "utf8");
  for (const place of [process.cwd(), homedir(), tmpdir(), DATA]) assert.not.ok(text.includes(place), place);
  const found = JSON.parse(text) as VerifyReport;
  assert.is(found.verdict, "same");
  assert.equal(verdicts(found, "text"), {
    ...{ ids: "same", pixels: "skipped", positions: "same" },
    ...{ features: "skipped", logits: "same", tokens: "same" },
  });
  assert.ok(Object.values(verdicts(found, "picture")).every((verdict) => verdict === "same"));
  const { difference, bound } = checkOf(found, "picture", "logits");
  assert.ok(difference!.share > 0 && difference!.share < 1e-5, `${difference!.share}`);
  assert.equal(bound, { share: 1e-4, exactness: "f32" });
});

test("places in messages get other names", () => {
  const found = {
    detail: "/home/me/models/x/config.json: no",
    cases: [{ share: Number.NaN, name: "/home/me" }],
    none: null,
  };
  assert.equal(withoutPlaces(found, { "/": "root", "/home/me": "~", "/home/me/models/x": "x" }), {
    detail: "x/config.json: no",
    cases: [{ share: Number.NaN, name: "~" }],
    none: null,
  });
  for (const [location, name] of [
    ["/data/GLM-OCR/", "GLM-OCR"],
    ["zai-org/GLM-OCR@main", "zai-org/GLM-OCR@main"],
    ["https://user:secret@host/a/GLM-OCR?token=x", "GLM-OCR"],
    ["C:\\models\\GLM", "GLM"],
    ["./mine/GLM", "GLM"],
  ] as const) {
    assert.is(modelName(location), name);
  }
});

test("one weight of the decoder that is another is found, and is not the tower's", async () => {
  const copy = await damaged("model.language_model.layers.1.mlp.down_proj.weight", 5, 1, 3);
  const found = report(copy, "--expected", EXPECTED);
  assert.equal([found.status, found.verdict], [1, "wrong"]);
  const { ids, positions, features, logits } = verdicts(found, "picture");
  assert.equal([ids, positions, features, logits], ["same", "same", "same", "wrong"]);
  assert.is(verdicts(found, "text").logits, "wrong");
});

test("one weight of the tower that is another is found, and is not the decoder's", async () => {
  const copy = await damaged("model.visual.blocks.0.attn.proj.weight", 7, 1, 3);
  const { status, stdout } = glimt(copy, "--expected", EXPECTED);
  assert.is(status, 1);
  assert.match(stdout, /features\s+WRONG/);
  assert.match(stdout, /e-\d+ of the spread with transformers' own features/);
  assert.match(stdout, /WRONG: 1 of 2 prompts differ from transformers, first in features/);
});

test("another tokenizer's ids are told by their first", () => {
  const copy = mkdtempSync(join(folder, "template-"));
  cpSync(MODEL, copy, { recursive: true });
  const template = join(copy, "chat_template.jinja");
  writeFileSync(template, readFileSync(template, "utf8").replace("[gMASK]<sop>", "<sop>[gMASK]"));
  const found = report(copy, "--expected", EXPECTED);
  assert.is(found.status, 1);
  assert.match(checkOf(found, "text", "ids").detail, /ids: \d+ for \d+, first other at \d+/);
  assert.is(verdicts(found, "text").logits, "same");
});

test("weights and a cache in blocks have bounds of their own", () => {
  const found = report(MODEL, "--expected", EXPECTED, "--dtype", "q8");
  assert.is(found.status, 0);
  assert.is(checkOf(found, "picture", "features").bound!.exactness, "f32");
  assert.is(checkOf(found, "picture", "logits").bound!.exactness, "blocks");
  const few = report(MODEL, "--expected", EXPECTED, "--dtype", "q4");
  assert.is(checkOf(few, "picture", "logits").bound!.exactness, "requantised");
  const rounded = report(MODEL, "--expected", EXPECTED, "--dtype", "bf16", "--kv-cache-dtype", "bf16");
  assert.equal([rounded.status, checkOf(rounded, "text", "logits").bound!.exactness], [0, "rounded"]);
});

test("a GGUF model beside the checkpoint that it was made of", async () => {
  const files = [`${DATA}/gguf/glm4v-tiny.gguf`, "--mmproj", `${DATA}/gguf/mmproj-glm4v-tiny.gguf`];
  const found = report(...files, "--expected", EXPECTED);
  assert.equal([found.status, found.verdict], [0, "same"], JSON.stringify(found));
  assert.is(checkOf(found, "picture", "logits").bound!.exactness, "requantised");
  assert.match(
    await complaint(verifyCommand(), files),
    /no GGUF files .* that glm4v-tiny\.gguf was made of with --judge/,
  );
});

test("what is no file of the judge's is refused", async () => {
  for (const [file, pattern] of [
    [join(folder, "absent.safetensors"), /no file absent\.safetensors.*\[CHECKPOINT_NOT_FOUND\]/],
    [`${MODEL}/model-00001-of-00002.safetensors`, /no tensor "about".*\[CHECKPOINT_INVALID\]/],
    [`${MODEL}/config.json`, /\[CHECKPOINT_INVALID\]/],
  ] as const) {
    assert.match(await complaint(verifyCommand(), [MODEL, "--expected", file]), pattern);
  }
});

test("what can not be judged, and a report that can not be written, are said first", async () => {
  const absent = join(folder, "absent");
  assert.ok((await complaint(verifyCommand(), [absent])).includes(` ${absent} is neither: `));
  assert.match(
    await complaint(verifyCommand(), ["http://bob:s3cret@host/model"]),
    /^(?!.*s3cret).* model is neither: /,
  );
  assert.match(
    await complaint(verifyCommand(), [absent, "--report", join(absent, "report.json")]),
    /^--report: .* can not be written: there is no such folder\. \[OPTION_INVALID\]/,
  );
});

test("without Python, and with one that has not what is needed, it says what to install", () => {
  const absent = glimt(MODEL, "--python", join(folder, "no-python"));
  assert.is(absent.status, 1);
  assert.match(
    absent.stderr,
    /--python: .* can not be started: there is no such program\. .*pip install torch/,
  );
  if (process.platform === "win32") return;
  const bare = glimt(
    MODEL,
    "--python",
    program("bare", 'echo "verify: no package torch: pip install torch" >&2; exit 1'),
  );
  assert.equal(
    [bare.status, bare.stderr],
    [1, "glimt: The judge: no package torch: pip install torch. [OPTION_INVALID]\n"],
  );
  const silent = glimt(MODEL, "--python", program("silent", "exit 0"));
  assert.match(silent.stderr, /^glimt: The judge ended with exit status 0, and wrote nothing\. .*--expected/);
  const broken = glimt(MODEL, "--python", program("broken", "echo Illegal instruction >&2; exit 132"));
  assert.match(
    broken.stderr,
    /^glimt: The judge ended with exit status 132: Illegal instruction\. .*--expected/,
  );
});

test("Ctrl-C ends the judge too", async () => {
  if (process.platform === "win32") return;
  const pids = join(folder, "pid");
  const python = program("slow", `echo $$ > ${pids}.part; mv ${pids}.part ${pids}; exec sleep 1000`);
  const child = spawn(process.execPath, ["dist/cli.js", "verify", MODEL, "--python", python]);
  const ended = new Promise((resolve) => child.on("close", resolve));
  while (!existsSync(pids)) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGINT");
  assert.is(await ended, 130);
  const pid = Number(readFileSync(pids, "utf8"));
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});

/** A shell script in a Python's place. */
function program(name: string, code: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${code}\n`);
  chmodSync(file, 0o755);
  return file;
}

const PYTHON = ["python3", "python"].map((name) => process.env.GLIMT_PYTHON ?? name);
const python = PYTHON.find((name) => spawnSync(name, ["-c", "import torch, transformers"]).status === 0);
if (python === undefined) {
  console.log("skipped: no Python with torch and transformers (pip install both, or set GLIMT_PYTHON)");
}
const withPython = python === undefined ? test.skip : test;

for (const model of ["glm4v-tiny", "glm_ocr-tiny", "glm46v-flash-tiny", "glm4v_moe-tiny"]) {
  withPython(`${model}: the script runs, and finds the same`, () => {
    const own = model === "glm_ocr-tiny" ? ["--image", `${DATA}/images/sign.png`] : [];
    const found = report(`${DATA}/${model}`, "--python", python!, ...own);
    assert.is(found.verdict, "same", JSON.stringify(found));
    const names = found.cases.map(({ name }) => name);
    assert.equal(names, [
      "text",
      "picture",
      "two pictures",
      "video",
      ...own.slice(1).map(() => "your picture"),
    ]);
    assert.not.ok(JSON.stringify(found).includes(process.cwd()));
  });
}

withPython("a GGUF model in the checkpoint's own bits is the same", () => {
  const name = "glm46v-flash-tiny";
  const files = [`${DATA}/gguf/${name}.gguf`, "--mmproj", `${DATA}/gguf/mmproj-${name}.gguf`];
  const found = report(...files, "--judge", `${DATA}/${name}`, "--python", python!);
  assert.is(found.verdict, "same", JSON.stringify(found));
  assert.is(checkOf(found, "picture", "tokens").bound!.exactness, "f32");
});

withPython("weights that transformers does not widen are said, and ids and pixels are compared", async () => {
  const copy = await written("gptq");
  const found = report(copy, "--python", python!);
  assert.equal([found.status, found.verdict], [0, "partly"]);
  assert.match(found.judge.refused!, /gptq/);
  assert.equal(Object.values(verdicts(found, "picture")).filter((verdict) => verdict === "same").length, 2);
});

withPython("fp8 weights are widened by transformers where it can, and found the same", async () => {
  const found = report(await written("finegrained-fp8"), "--python", python!, "--dtype", "f32");
  const canWiden = spawnSync(python!, ["-c", "import accelerate"]).status === 0;
  assert.equal([found.status, found.verdict], [0, canWiden ? "same" : "partly"], JSON.stringify(found));
  if (!canWiden) assert.match(found.judge.refused!, /accelerate/);
});

/** A quantised version of a golden checkpoint as a folder. */
async function written(name: string): Promise<string> {
  const fixture = quantisedFixture(name);
  const copy = join(folder, name);
  mkdirSync(copy);
  const files = await quantisedFiles(fixture);
  for (const [file, content] of files) writeFileSync(join(copy, file), content);
  // transformers reads no index without it.
  const index = join(copy, "model.safetensors.index.json");
  writeFileSync(index, JSON.stringify({ metadata: {}, ...JSON.parse(readFileSync(index, "utf8")) }));
  return copy;
}

test.run();
