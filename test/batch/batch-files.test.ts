/** The lines of a file answered into another. */
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { lockFile } from "../../src/batch/file-lock.node.ts";
import { answer, requestLine, type StubAnswerer, stubAnswerer } from "./stub-answerer.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-batch-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function files(lines: readonly string[] | string, answers?: string) {
  const name = join(folder, String(++count));
  const [input, output] = [`${name}.in.jsonl`, `${name}.out.jsonl`];
  writeFileSync(input, typeof lines === "string" ? lines : lines.map((line) => `${line}\n`).join(""));
  if (answers !== undefined) writeFileSync(output, answers);
  return { input, output };
}

const read = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
const ids = (path: string) => read(path).map((line) => line.custom_id);
const failing = (work: Promise<unknown>) =>
  work.then(
    () => assert.unreachable(),
    (error) => error,
  );

/** The later a line, the sooner it is answered. */
const twenty = Array.from({ length: 20 }, (_, i) => requestLine(`${i}`, { say: `s${i}`, turns: 20 - i }));
const numbers = twenty.map((_, i) => String(i));

test("answers stand in the order of the lines, however they come", async () => {
  const { input, output } = files(twenty);
  const stub = stubAnswerer();
  const progress = await answer({ input, output }, stub);
  assert.equal(ids(output), numbers);
  assert.is(stub.mostAtOnce, 4);
  const { milliseconds, secondsLeft, ...counts } = progress;
  assert.equal(counts, { lines: 20, answered: 20, failed: 0, promptTokens: 40, completionTokens: 60 });
  assert.ok(milliseconds > 0);
  assert.is(secondsLeft, 0);
  assert.not(existsSync(`${output}.lock`));
});

test("unordered: as they come, each once", async () => {
  const { input, output } = files([requestLine("slow", { turns: 500 }), ...twenty]);
  await answer({ input, output, unordered: true });
  assert.equal(ids(output).sort(), [...numbers, "slow"].sort());
  assert.is.not(ids(output)[0], "slow");
});

test("in order, others are ahead of a slow line by no more than there is room for", async () => {
  const lines = Array.from({ length: 100 }, (_, i) => requestLine(`${i}`, { turns: i === 0 ? 2000 : 0 }));
  const { input, output } = files(lines);
  const stub = stubAnswerer();
  let asked = 0;
  await answer({ input, output, concurrency: 2, onProgress: () => (asked ||= stub.asks.length) }, stub);
  assert.is(asked, 8);
  assert.equal(
    ids(output),
    lines.map((_, i) => String(i)),
  );
});

test("a line that fails is told of, and the others go on", async () => {
  const lines = [
    requestLine("a", { say: "1" }),
    "{ no",
    "",
    requestLine("b", { fail: "IMAGE_INVALID" }),
    '{"custom_id":"c"}',
    requestLine("d", { say: "2" }),
  ];
  const { input, output } = files(lines.join("\r\n"));
  const { lines: total, answered, failed } = await answer({ input, output });
  assert.equal({ total, answered, failed }, { total: 5, answered: 5, failed: 3 });
  const answers = read(output);
  assert.equal(
    answers.map(({ custom_id, response, error }) => [custom_id, response?.status_code, error?.code]),
    [
      ["a", 200, undefined],
      [null, undefined, "invalid_json"],
      ["b", 400, undefined],
      ["c", undefined, "invalid_line"],
      ["d", 200, undefined],
    ],
  );
  assert.is(answers[2].response.body.error.code, "IMAGE_INVALID");
  // The line of the file.
  assert.equal(
    answers.map(({ id }) => id.split("_")[2]),
    ["1", "2", "4", "5", "6"],
  );
});

test("errors in a file of their own", async () => {
  const { input, output } = files([requestLine("a", {}), requestLine("b", { fail: "INPUT_INVALID" }), "no"]);
  const errors = `${output}.errors`;
  await answer({ input, output, errors });
  assert.equal([ids(output), ids(errors)], [["a"], ["b", null]]);
  const stub = stubAnswerer();
  const { answered, failed } = await answer({ input, output, errors }, stub);
  assert.equal([answered, failed, stub.asks], [3, 2, []]);
});

test("what may pass is tried again", async () => {
  const { input, output } = files([requestLine("a", { fail: "TIMED_OUT", passes: 1, say: "late" })]);
  const stub = stubAnswerer();
  await answer({ input, output }, stub);
  assert.equal([stub.asks, read(output)[0].response.body.say], [["a", "a"], "late"]);
});

test("a seed is the line's own", async () => {
  const lines = [requestLine("a", {}), requestLine("b", {})];
  const [first, second] = [files(lines), files(lines)];
  await answer(first);
  await answer(second);
  assert.equal(read(first.output), read(second.output));
  const [a, b] = read(first.output).map(({ response }) => response.body.seed);
  assert.is.not(a, b);
});

/** Ends a run when so many lines are written. */
async function endedAt(written: number, given: { input: string; output: string }, unordered = false) {
  const end = new AbortController();
  const onProgress = () => --written === 0 && end.abort();
  return failing(answer({ ...given, unordered, signal: end.signal, onProgress }));
}

for (const unordered of [false, true]) {
  test(`a run that was ended goes on${unordered ? ", unordered" : ""}: each line once`, async () => {
    const undisturbed = files(twenty);
    await answer(undisturbed);
    for (const written of [1, 2, 7, 19]) {
      const given = files(twenty);
      assert.is((await endedAt(written, given, unordered)).code, "ABORTED");
      const before = ids(given.output);
      assert.ok(before.length >= written, `${before.length}`);
      const stub = stubAnswerer();
      const { answered } = await answer({ ...given, unordered }, stub);
      assert.is(answered, 20);
      assert.equal(
        stub.asks,
        numbers.filter((id) => !before.includes(id)),
      );
      const byLine = (path: string) => read(path).sort((a, b) => a.custom_id - b.custom_id);
      assert.equal(byLine(given.output), byLine(undisturbed.output));
      if (!unordered) assert.equal(ids(given.output), numbers);
    }
  });
}

test("stopSignal: what is under way is answered, and no more", async () => {
  const given = files(twenty);
  const stop = new AbortController();
  const stub = stubAnswerer();
  const progress = await answer({ ...given, stopSignal: stop.signal, onProgress: () => stop.abort() }, stub);
  assert.equal(ids(given.output), stub.asks);
  assert.is(progress.answered, stub.asks.length);
  assert.ok(progress.answered < 20);
  await answer(given);
  assert.equal(ids(given.output), numbers);
});

test("stopSignal ends a wait for room", async () => {
  const given = files([requestLine("a", { forever: true }), requestLine("b", {})]);
  const [stop, end] = [new AbortController(), new AbortController()];
  const run = failing(answer({ ...given, concurrency: 1, stopSignal: stop.signal, signal: end.signal }));
  stop.abort();
  end.abort();
  assert.is((await run).code, "ABORTED");
  assert.equal(read(given.output), []);
});

test("a model that answers no more ends the run, and its lines stay to be asked", async () => {
  for (const code of ["DEVICE_FAILED", "DISPOSED", "GROUP_FAILED"]) {
    const given = files([
      requestLine("a", {}),
      requestLine("b", { fail: code }),
      requestLine("c", { turns: 50 }),
    ]);
    assert.is((await failing(answer(given))).code, code);
    assert.equal(ids(given.output), ["a"]);
  }
});

test("any end of an answer that was being written is cut off", async () => {
  const whole = files(twenty.slice(0, 3));
  await answer(whole);
  const content = readFileSync(whole.output);
  const [first] = content.toString().split("\n");
  for (const kept of [
    0,
    1,
    5,
    30,
    (first as string).length,
    (first as string).length + 1,
    content.length - 1,
  ]) {
    const given = files(twenty.slice(0, 3), content.subarray(0, kept).toString());
    await answer(given);
    assert.equal(readFileSync(given.output), content, `${kept}`);
  }
  // Bytes that never reached the disk.
  const given = files(twenty.slice(0, 3), `${first}\n${"\0".repeat(100)}`);
  await answer(given);
  assert.equal(readFileSync(given.output), content);
});

test("a finished batch is finished again", async () => {
  const given = files(twenty);
  await answer(given);
  const content = readFileSync(given.output);
  const stub = stubAnswerer();
  assert.is((await answer(given, stub)).answered, 20);
  assert.equal([stub.asks, readFileSync(given.output)], [[], content]);
});

test("lines that were added are answered too", async () => {
  const given = files(twenty.slice(0, 3));
  await answer(given);
  writeFileSync(given.input, twenty.map((line) => `${line}\n`).join(""));
  await answer(given);
  assert.equal(ids(given.output), numbers);
});

async function begun(): Promise<{ input: string; output: string }> {
  const given = files(twenty);
  await endedAt(5, given);
  return given;
}

const REFUSED: readonly [
  name: string,
  code: string,
  message: RegExp,
  prepare: () => Promise<{ input: string; output: string; errors?: string }>,
  stub?: StubAnswerer,
][] = [
  [
    "a line that changed since",
    "INPUT_INVALID",
    /line 2 is not the one that was answered/,
    async () => {
      const given = await begun();
      writeFileSync(given.input, readFileSync(given.input, "utf8").replace("s1", "S1"));
      return given;
    },
  ],
  [
    "another model",
    "INPUT_INVALID",
    /line 1 is not .* or not for this model/,
    begun,
    stubAnswerer("another"),
  ],
  [
    "lines that went away",
    "INPUT_INVALID",
    /fewer lines than were answered/,
    async () => {
      const given = await begun();
      writeFileSync(given.input, `${twenty.slice(0, 2).join("\n")}\n${" ".repeat(1000)}`);
      return given;
    },
  ],
  [
    "an output of something else",
    "OUTPUT_FAILED",
    /line 1 is no answer of a batch/,
    async () => files(twenty, "my notes\n"),
  ],
  [
    "an output of something else, without an end",
    "OUTPUT_FAILED",
    /line 1 is no answer of a batch/,
    async () => files(twenty, "my notes"),
  ],
  [
    "an output that was changed",
    "OUTPUT_FAILED",
    /line 2 is no answer/,
    async () => {
      const given = await begun();
      const [first, , ...rest] = readFileSync(given.output, "utf8").split("\n");
      writeFileSync(given.output, [first, "{}", ...rest].join("\n"));
      return given;
    },
  ],
  [
    "an output with a line twice",
    "OUTPUT_FAILED",
    /answers line 1 twice/,
    async () => {
      const given = await begun();
      const content = readFileSync(given.output, "utf8");
      writeFileSync(given.output, content + content);
      return given;
    },
  ],
  [
    "one custom_id twice",
    "INPUT_INVALID",
    /lines 1 and 4 have one custom_id, "a"/,
    async () => files([requestLine("a", {}), "", requestLine("b", {}), requestLine("a", { say: "x" })]),
  ],
  ["UTF-16", "INPUT_INVALID", /UTF-16/, async () => files("\ufeff{}".split("").join("\0"))],
  [
    "no input",
    "INPUT_INVALID",
    /can not be read: there is no such file/,
    async () => ({ input: join(folder, "none"), output: join(folder, "o") }),
  ],
  [
    "an input that is a folder",
    "INPUT_INVALID",
    /it is no file|EISDIR/,
    async () => ({ input: folder, output: join(folder, "o") }),
  ],
  [
    "an output that is a folder",
    "OUTPUT_FAILED",
    /can not be written/,
    async () => ({ ...files([]), output: folder }),
  ],
  [
    "an output that is the input",
    "OUTPUT_FAILED",
    /it is the input/,
    async () => {
      const { input, output } = files(twenty);
      linkSync(input, output);
      return { input, output };
    },
  ],
  [
    "errors that a link leads to the output",
    "OUTPUT_FAILED",
    /it is the output/,
    async () => {
      const { input, output } = await begun();
      linkSync(output, `${output}.errors`);
      return { input, output, errors: `${output}.errors` };
    },
  ],
  [
    "an output in a folder that is not there",
    "OUTPUT_FAILED",
    /none/,
    async () => ({ ...files([]), output: join(folder, "none", "o") }),
  ],
];

for (const [name, code, message, prepare, stub = stubAnswerer()] of REFUSED) {
  test(`refused before anything is asked: ${name}`, async () => {
    const given = await prepare();
    const before = [given.input, given.output].map(
      (path) => existsSync(path) && path !== folder && readFileSync(path),
    );
    const error = await failing(answer(given, stub));
    assert.is(error.code, code, error.stack);
    assert.match(error.message, message);
    assert.equal(stub.asks, []);
    const after = [given.input, given.output].map(
      (path) => existsSync(path) && path !== folder && readFileSync(path),
    );
    if (before[1]) assert.equal(after, before);
    assert.not(existsSync(`${given.output}.lock`));
  });
}

test("a lock is the file's, whichever link leads to it", async () => {
  const { output } = files([]);
  writeFileSync(output, "");
  symlinkSync(output, `${output}.link`);
  const unlock = await lockFile(output);
  assert.match((await failing(lockFile(`${output}.link`))).message, /being written by another process/);
  await unlock();
  await (await lockFile(`${output}.link`))();
});

test("one batch at a time writes to a file", async () => {
  const long = files([requestLine("a", { forever: true })]);
  const [stub, control] = [stubAnswerer(), new AbortController()];
  const first = failing(answer({ ...long, signal: control.signal }, stub));
  // Which of two has the lock is told by who asks.
  while (stub.asks.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.match((await failing(answer(long))).message, /being written by another process/);
  control.abort();
  assert.is((await first).code, "ABORTED");
  const given = files([requestLine("a", {})]);
  // Of a process that there is not, and of an earlier one of this number.
  for (const pid of [2 ** 22 + 1, process.pid]) {
    const { hostname } = await import("node:os");
    writeFileSync(`${given.output}.lock`, JSON.stringify({ pid, host: hostname() }));
    await answer(given);
  }
  writeFileSync(`${given.output}.lock`, JSON.stringify({ pid: 1, host: "elsewhere" }));
  assert.match((await failing(answer(given))).message, /remove .*\.lock/);
});

test.run();
