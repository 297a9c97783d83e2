/** A batch that is killed, whose disk is full, and one of a hundred thousand lines. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import {
  createWriteStream,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { answer, requestLine } from "./stub-answerer.ts";

/** This file is also the process that is killed: it answers one file into another. */
const [, , , input, output, order] = process.argv;
if (process.env.GLIMT_BATCH_CHILD) {
  const run = answer({
    concurrency: 8,
    input: input as string,
    output: output as string,
    unordered: order === "unordered",
  });
  const held = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
  const before = held();
  let most = 0;
  const look = setInterval(() => {
    most = Math.max(most, held() - before);
  }, 5);
  try {
    const progress = await run;
    process.stdout.write(JSON.stringify({ ...progress, most }));
  } catch (error) {
    process.stdout.write(JSON.stringify({ code: (error as { code?: string }).code, message: String(error) }));
  }
  clearInterval(look);
  process.exit();
}

const folder = mkdtempSync(join(tmpdir(), "glimt-batch-endings-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const SELF = fileURLToPath(import.meta.url);
const ENV = { ...process.env, GLIMT_BATCH_CHILD: "1" };

/** Arguments stand where the test's own bundle is named. */
function start(...args: string[]): ChildProcess {
  return fork(SELF, ["child", ...args], {
    env: ENV,
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
}

async function ended(child: ChildProcess) {
  let printed = "";
  child.stdout?.on("data", (text) => {
    printed += text;
  });
  const [, signal] = await once(child, "close");
  return { signal, result: printed === "" ? null : JSON.parse(printed) };
}

const LINES = 1000;
const lines = Array.from({ length: LINES }, (_, i) =>
  requestLine(`${i}`, { say: "x".repeat((i * 37) % 3000), turns: i % 7 }),
);
const INPUT = join(folder, "in.jsonl");
writeFileSync(INPUT, lines.map((line) => `${line}\n`).join(""));

for (const order of ["ordered", "unordered"]) {
  test(`${order}: killed again and again, every line is answered once, as by a run that nobody disturbed`, async () => {
    const [undisturbed, killed] = [join(folder, `${order}.whole`), join(folder, `${order}.killed`)];
    await ended(start(INPUT, undisturbed, order));
    let kills = 0;
    for (let size = 0; kills < 5; ) {
      const child = start(INPUT, killed, order);
      const end = ended(child);
      // At any moment behind the one when it goes on.
      const sizeNow = () => (existsSync(killed) ? statSync(killed).size : 0);
      while (sizeNow() <= size && child.exitCode === null) await sleep(1);
      await sleep(11 * kills);
      child.kill("SIGKILL");
      const { signal } = await end;
      if (signal !== "SIGKILL") break;
      kills++;
      size = sizeNow();
    }
    assert.ok(kills > 1, `${kills}`);
    const { result } = await ended(start(INPUT, killed, order));
    assert.equal([result.answered, result.failed], [LINES, 0]);
    const linesOf = (path: string) => readFileSync(path, "utf8").split("\n");
    const sorted = (path: string) => linesOf(path).sort();
    if (order === "ordered") assert.ok(readFileSync(killed).equals(readFileSync(undisturbed)));
    else assert.equal(sorted(killed), sorted(undisturbed));
    assert.not(existsSync(`${killed}.lock`));
  });
}

test("a disk that is full ends it with an error; once there is room it goes on", async () => {
  if (process.platform === "win32") return;
  const full = join(folder, "full");
  // 64 blocks of 512 or 1024 bytes: the system refuses what a file would have beyond them.
  const limited = spawn(
    "sh",
    ["-c", `trap '' XFSZ; ulimit -f 64; exec "$0" "$@"`, process.execPath, SELF, "child", INPUT, full],
    {
      env: ENV,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const { result } = await ended(limited);
  assert.is(result.code, "OUTPUT_FAILED", JSON.stringify(result));
  assert.match(result.message, /full can not be written: the file system holds no file that large/);
  const written = readFileSync(full, "utf8");
  assert.ok(written.endsWith("}\n") && written.length > 10_000, "whole lines stay");
  const { result: rest } = await ended(start(INPUT, full));
  assert.is(rest.answered, LINES);
  const ids = readFileSync(full, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line).custom_id);
  assert.equal(
    ids,
    lines.map((_, i) => String(i)),
  );
});

test("a hundred thousand lines, 70 MB, take little memory", async () => {
  const [many, out] = [join(folder, "many"), join(folder, "many.out")];
  const file = createWriteStream(many);
  const say = "y".repeat(600);
  for (let i = 0; i < 100_000; i++) {
    if (!file.write(`${requestLine(`request-${i}`, { say })}\n`)) await once(file, "drain");
  }
  file.end();
  await once(file, "close");
  const { result } = await ended(start(many, out));
  assert.is(result.answered, 100_000);
  assert.ok(result.most < 50 * 2 ** 20, `${(result.most / 2 ** 20).toFixed(0)} MiB`);
});

test.run();
