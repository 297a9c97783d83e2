/** The built package in Node: files are parsed in its worker, wherever the worker's file is. */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type * as glimt from "../../src/index.ts";
import { greyPng } from "./pictures.ts";

const CHECKPOINT = resolve("examples/demo/checkpoint");
/** Takes a second or so to decode. */
const large = greyPng(9000, 9000);
const small = greyPng(56, 56);

// A computed address, so that the bundler leaves the built package alone.
const { openProcessor, GlimtError }: typeof glimt = await import(pathToFileURL("dist/index.js").href);

/** Milliseconds of it: to say what is quick beside it, on any machine. */
async function timeOf(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await task();
  return performance.now() - start;
}

type Options = NonNullable<Parameters<typeof openProcessor>[1]>;

async function reader(options: Options = {}) {
  const processor = await openProcessor(CHECKPOINT, { maxImagePixels: 10_000, ...options });
  return (image: Uint8Array, signal?: AbortSignal) =>
    processor.process([{ role: "user", content: [{ type: "image", image }] }], { signal });
}

async function failure(task: Promise<unknown>): Promise<InstanceType<typeof GlimtError>> {
  const error = await task.then(
    () => assert.unreachable("no error"),
    (error) => error,
  );
  assert.instance(error, GlimtError, String(error?.stack ?? error));
  return error;
}

test("a large picture does not hold the thread", async () => {
  const read = await reader();
  await read(small);
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  const start = performance.now();
  await read(large, undefined).catch(() => {});
  const whole = performance.now() - start;
  clearInterval(timer);
  assert.ok(longest < whole / 2, `held for ${longest} of ${whole} ms`);
});

test("an abort ends its decoding at once, a time limit when it is over", async () => {
  const read = await reader();
  await read(small);
  const controller = new AbortController();
  const whole = await timeOf(() => read(large).catch(() => {}));
  setTimeout(() => controller.abort(), 30);
  const aborted = await timeOf(async () => {
    assert.is((await failure(read(large, controller.signal))).code, "ABORTED");
  });
  assert.ok(aborted < whole / 2, `${aborted} ms of ${whole}`);

  const late = await failure((await reader({ decodeTimeout: 30 }))(large));
  assert.is(late.code, "TIMED_OUT");
  assert.match(late.message, /Image of \d+ bytes .* 30 ms.*decodeTimeout/);
  await read(small);
});

test("bytes of the caller's stay the caller's", async () => {
  const read = await reader();
  const within = new Uint8Array(small.length + 20);
  within.set(small, 10);
  const view = within.subarray(10, 10 + small.length);
  const before = within.slice();
  const { imageGridThw } = await read(view);
  assert.equal(imageGridThw, (await read(small)).imageGridThw);
  assert.equal(within, before);
});

test("an almost empty file of 196 million pixels is refused long before it could be decoded", async () => {
  const read = await reader();
  await read(small);
  const ofLess = await timeOf(() => read(large).catch(() => {}));
  const gif = Uint8Array.from([
    ...[..."GIF89a"].map((letter) => letter.charCodeAt(0)),
    ...[0xb0, 0x36, 0xb0, 0x36, 0x80, 0, 0, 0, 0, 0, 255, 255, 255],
    ...[0x2c, 0, 0, 0, 0, 0xb0, 0x36, 0xb0, 0x36, 0, 2, 1, 0, 0, 0x3b],
  ]);
  for (const file of [gif, greyPng(14000, 14000, 1)]) {
    const refused = await timeOf(async () => {
      assert.is((await failure(read(file))).code, "IMAGE_TOO_LARGE");
    });
    assert.ok(refused < ofLess / 2, `${refused} ms, ${ofLess} for one of 81 million`);
  }
});

test("without its file the worker starts from its text; another place may be named", async () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-worker-"));
  try {
    cpSync("dist", join(folder, "dist"), { recursive: true });
    rmSync(join(folder, "dist/worker.js"));
    cpSync("dist/worker.js", join(folder, "elsewhere.js"));
    const elsewhere = join(folder, "elsewhere.js");
    for (const workerUrl of [undefined, elsewhere, pathToFileURL(elsewhere), pathToFileURL(elsewhere).href]) {
      const { stdout } = await inProcess(`
        import { openProcessor } from ${JSON.stringify(pathToFileURL(join(folder, "dist/index.js")).href)};
        const picture = new Uint8Array(Buffer.from(${JSON.stringify(Buffer.from(small).toString("base64"))}, "base64"));
        const workerUrl = ${JSON.stringify(workerUrl)};
        const processor = await openProcessor(${JSON.stringify(CHECKPOINT)}, workerUrl ? { workerUrl } : {});
        await processor.process([{ role: "user", content: [{ type: "image", image: picture }] }]);
        console.log(process.report.getReport().workers.length);
      `);
      assert.is(stdout.trim(), "1", `a worker ran: ${workerUrl}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("kernel threads start from a small file of their own, from its text, or from a copy of the file for all", async () => {
  assert.ok(statSync("dist/kernel-worker.js").size < 10_000, "many threads load it");
  const folder = mkdtempSync(join(tmpdir(), "glimt-worker-"));
  try {
    cpSync("dist", join(folder, "dist"), { recursive: true });
    const elsewhere = join(folder, "elsewhere.js");
    cpSync("dist/worker.js", elsewhere);
    const threadsWith = async (workerUrl?: string) => {
      const { stdout } = await inProcess(`
        import { loadModel } from ${JSON.stringify(pathToFileURL(join(folder, "dist/index.js")).href)};
        const workerUrl = ${JSON.stringify(workerUrl)};
        const options = { backend: "wasm", threads: 2, ...(workerUrl ? { workerUrl } : {}) };
        const model = await loadModel(${JSON.stringify(CHECKPOINT)}, options);
        console.log(model.backend.threads, process.report.getReport().workers.length);
        await model.dispose();
      `);
      return stdout.trim();
    };
    // Without the file for all, then without that of the kernels.
    rmSync(join(folder, "dist/worker.js"));
    assert.is(await threadsWith(), "2 2");
    rmSync(join(folder, "dist/kernel-worker.js"));
    assert.is(await threadsWith(), "2 2");
    assert.is(await threadsWith(elsewhere), "2 2");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("workerUrl and decodeTimeout are checked", async () => {
  for (const options of [
    { workerUrl: 7 },
    { workerUrl: "" },
    { decodeTimeout: 0 },
    { decodeTimeout: "1" },
    { decodeTimeout: Number.POSITIVE_INFINITY },
  ]) {
    const error = await failure(reader(options as Options));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, new RegExp(Object.keys(options)[0] as string));
  }
});

test("a process ends when it is done, and may end while a picture is decoded", async () => {
  const script = (after: string) => `
    import { openProcessor } from ${JSON.stringify(pathToFileURL("dist/index.js").href)};
    const processor = await openProcessor(${JSON.stringify(CHECKPOINT)}, { maxImagePixels: 10000 });
    const read = (text) => processor.process([
      { role: "user", content: [{ type: "image", image: new Uint8Array(Buffer.from(text, "base64")) }] },
    ]);
    await read("${Buffer.from(small).toString("base64")}");
    ${after}
  `;
  // A worker that is idle ends after a while: it is still there when the process does not wait for that.
  const done = await inProcess(
    script(`process.once("exit", () => console.log(process.report.getReport().workers.length));`),
  );
  assert.is(done.stdout.trim(), "1", "it waited for its worker");
  const whole = await timeOf(async () => (await reader())(large).catch(() => {}));
  const busy = script(`
    const { readFileSync } = await import("node:fs");
    read(readFileSync(0, "latin1")).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    process.once("exit", () => console.log(Date.now()));
    process.exit(0);
  `);
  const left = await inProcess(busy, Buffer.from(large).toString("base64"));
  assert.ok(Date.now() - Number(left.stdout) < whole, "it waited for the picture");
});

async function inProcess(script: string, input = ""): Promise<{ stdout: string }> {
  const running = promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    timeout: 200_000,
  });
  running.child.stdin?.end(input);
  return running;
}

test("movies that are given up leave the process and its threads in order", async () => {
  const processor = await openProcessor("test/golden/data/glm4v-tiny");
  const video = new Uint8Array(readFileSync("test/golden/data/movies/h264.mp4"));
  const messages = [{ role: "user" as const, content: [{ type: "video" as const, video }] }];
  const { inputIds } = await processor.process(messages);
  for (let i = 0; i < 30; i++) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), i * 4);
    await processor.process(messages, { signal: controller.signal }).catch((error) => {
      assert.is(error.code, "ABORTED", error.message);
    });
  }
  assert.equal((await processor.process(messages)).inputIds, inputIds);
});

test.run();
