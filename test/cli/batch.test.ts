/** `glimt batch`: how it ends, what it says, and that it goes on with what was begun. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { batchCommand } from "../../src/cli/batch.ts";
import { workerCommand } from "../../src/cli/worker.ts";
import { complaint } from "./command.ts";

const CLI = "dist/cli.js";
const DEMO = "examples/demo/checkpoint";
const folder = mkdtempSync(join(tmpdir(), "glimt-cli-batch-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const picture = resolve("examples/demo/pictures/hello.png");
const page = (id: number, body: object = {}) =>
  JSON.stringify({
    custom_id: `${id}`,
    method: "POST",
    url: "/v1/chat/completions",
    body: {
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: picture } },
            { type: "text", text: "Text Recognition:" },
          ],
        },
      ],
      ...body,
    },
  });

let count = 0;
function files(lines: readonly string[]) {
  const name = join(folder, String(++count));
  writeFileSync(`${name}.in`, lines.join("\n"));
  return { input: `${name}.in`, output: `${name}.out` };
}

function start(input: string, output: string, ...flags: string[]) {
  const child = spawn(process.execPath, [
    CLI,
    "batch",
    DEMO,
    input,
    output,
    "--backend",
    "wasm",
    "--threads",
    "1",
    "--sources",
    "any",
    ...flags,
  ]);
  const told = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (text) => {
      told[name] += text;
    });
  }
  const ended = new Promise<{ status: number | null; killed: string | null; stdout: string; stderr: string }>(
    (done) => child.on("close", (status, killed) => done({ status, killed, ...told })),
  );
  return { child, ended };
}

const answers = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

test("0 when all lines are answered, 2 when some have errors, and the model is not loaded for what is done", async () => {
  const { input, output } = files([page(1), page(2)]);
  const { status, stdout, stderr } = await start(input, output).ended;
  assert.equal([status, stdout], [0, ""], stderr);
  assert.match(stderr, /2 of 2 lines answered, [\d.]+ tokens\/s, in \d+ s/);
  const again = await start(input, output, "--json").ended;
  assert.equal([again.status, again.stderr], [0, ""]);
  assert.equal(JSON.parse(again.stdout), {
    lines: 2,
    answered: 2,
    failed: 0,
    promptTokens: 0,
    completionTokens: 0,
    milliseconds: 0,
    secondsLeft: 0,
  });
  const bad = files([page(1), "no json"]);
  const failed = await start(bad.input, bad.output, "--errors", `${bad.output}.errors`).ended;
  assert.is(failed.status, 2, failed.stderr);
  assert.match(failed.stderr, /2 of 2 lines answered, 1 with errors/);
  assert.equal([answers(bad.output).length, answers(`${bad.output}.errors`).length], [1, 1]);
});

test("what is wrong with the files is said before the model is loaded", async () => {
  const twice = files([page(1), page(1)]);
  const { status, stdout, stderr } = await start(twice.input, twice.output, "--json").ended;
  assert.equal([status, stderr], [1, ""]);
  assert.is(JSON.parse(stdout).error.code, "INPUT_INVALID");
  const none = await complaint(batchCommand(), [DEMO, join(folder, "nothing"), twice.output]);
  assert.match(none, /nothing can not be read: .* \[INPUT_INVALID\]$/);
});

test("a worker says which Redis it needs, and which packages", async () => {
  process.env.GLIMT_REDIS = "";
  assert.is(
    await complaint(workerCommand(), [DEMO]),
    "Which Redis? Give --redis URL, or GLIMT_REDIS. [OPTION_INVALID]",
  );
  const wrong = await complaint(workerCommand(), [DEMO, "--redis", "localhost"]);
  assert.match(wrong, /--redis is no address such as redis:.* \[OPTION_INVALID\]/);
  // Where the packages are not.
  const args = [resolve(CLI), "worker", "no/such/model", "--redis", "redis://127.0.0.1:9"];
  const missing = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  assert.match(missing.stderr, /npm i bullmq ioredis .* \[BACKEND_UNAVAILABLE\]/);
});

const LINES = 24;
const pages = Array.from({ length: LINES }, (_, i) => page(i, { temperature: 1, max_tokens: 60 }));

test("killed and gone on with, it answers as if nothing had been", async () => {
  const [whole, killed] = [files(pages), files(pages)];
  await start(whole.input, whole.output).ended;
  let kills = 0;
  for (let size = 0; kills < 3; ) {
    const { child, ended } = start(killed.input, killed.output, "--max-sequences", "2");
    while (sizeOf(killed.output) <= size && child.exitCode === null) await sleep(1);
    child.kill("SIGKILL");
    if ((await ended).killed !== "SIGKILL") break;
    kills++;
    size = sizeOf(killed.output);
  }
  assert.ok(kills > 0);
  const { status, stderr } = await start(killed.input, killed.output).ended;
  assert.is(status, 0, stderr);
  const told = (path: string) =>
    answers(path).map(({ response, ...line }) => ({
      ...line,
      response: { ...response, body: { ...response.body, created: 0, usage: 0 } },
    }));
  assert.equal(told(killed.output), told(whole.output));
});

test("Ctrl-C finishes what runs; the same command goes on", async () => {
  const { input, output } = files(pages);
  const { child, ended } = start(input, output, "--concurrency", "2");
  while (sizeOf(output) === 0 && child.exitCode === null) await sleep(1);
  child.kill("SIGINT");
  const { status, killed, stderr } = await ended;
  assert.equal([status, killed], [130, null], stderr);
  assert.match(stderr, /Finishing what runs/);
  assert.ok(readFileSync(output, "utf8").endsWith("}\n"));
  const before = answers(output).length;
  assert.ok(before > 0 && before < LINES, `${before}`);
  const rest = await start(input, output).ended;
  assert.is(rest.status, 0, rest.stderr);
  assert.match(rest.stderr, new RegExp(`${before} of ${LINES} lines are answered already`));
  assert.equal(
    answers(output).map(({ custom_id }) => custom_id),
    pages.map((_, i) => String(i)),
  );
});

test.run();
