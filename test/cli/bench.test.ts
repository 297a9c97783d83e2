/** `glimt bench` on the demo, with sizes so small that only what it prints is judged, and no speed. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { benchCommand, roomToRead } from "../../src/cli/bench.ts";
import { complaint } from "./command.ts";

const DEMO = "examples/demo/checkpoint";
const SMALL = [
  "--image",
  "84x84",
  "--prefill",
  "5",
  "--context",
  "20",
  "--batch",
  "1,2",
  "--seconds",
  "0.01",
];
const folder = mkdtempSync(join(tmpdir(), "glimt-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function bench(...args: string[]) {
  return spawnSync(process.execPath, ["dist/cli.js", "bench", DEMO, ...args], { encoding: "utf8" });
}

function json(...args: string[]) {
  const { status, stdout, stderr } = bench("--json", ...args);
  assert.is(status, 0, stderr);
  return { report: JSON.parse(stdout), stderr };
}

test("--json has the ceilings of before and after, and of each size its speed, work and share", () => {
  const { report, stderr } = json(...SMALL, "--threads", "1");
  const { ceilings, backend, vision, prefill, decode, load, memory, model } = report;
  assert.is(backend.name, "wasm");
  assert.is(backend.threads, 1);
  assert.is(model.dtype, "bf16");
  for (const found of [ceilings.before, ceilings.after])
    assert.ok(found.multiplyAdd > 1e8 && found.read > 1e8);
  assert.is(ceilings.isNoisy, ceilings.difference > 0.1);
  assert.ok(load.milliseconds > 0 && load.liveBytes > 0);
  assert.ok(memory.peakBytes > memory.liveBytes && memory.liveBytes >= load.liveBytes);
  assert.equal(
    vision.map(({ width, height, gridThw }: Record<string, unknown>) => [width, height, gridThw]),
    [[84, 84, [1, 6, 6]]],
  );
  assert.equal(
    prefill.map(({ tokens }: { tokens: number }) => tokens),
    [5],
  );
  assert.equal(
    decode.map(({ context, batch }: Record<string, unknown>) => [context, batch]),
    [
      [20, 1],
      [20, 2],
    ],
  );
  const items = [9, 5, 1, 2];
  for (const [index, line] of [...vision, ...prefill, ...decode].entries()) {
    const { milliseconds, runs, tokensPerSecond, operations, bytes, ceiling, liveBytes, profile } = line;
    assert.ok(milliseconds.median >= milliseconds.best && milliseconds.best > 0 && runs >= 1);
    assert.ok(Math.abs((tokensPerSecond * milliseconds.median) / 1000 - (items[index] as number)) < 1e-6);
    const best = (name: string) => Math.max(ceilings.before[name], ceilings.after[name]);
    const least = { arithmetic: operations / best("multiplyAdd"), reading: bytes / best("read") };
    const limit = least.arithmetic >= least.reading ? "arithmetic" : "reading";
    assert.is(ceiling.limit, limit);
    assert.ok(Math.abs(ceiling.share / ((1000 * least[limit]) / milliseconds.median) - 1) < 1e-9);
    assert.ok(liveBytes >= load.liveBytes);
    assert.is(profile, null);
  }
  // Progress, which leaves the result alone.
  assert.match(stderr, /loaded in .*picture of 84 x 84: .*prompt of 5 tokens: .*batch 2: /s);
});

test("--profile names ops and parts of the model, and --svg draws it all", () => {
  const file = join(folder, "plot.svg");
  const { report } = json(...SMALL, "--profile", "--svg", file, "--threads", "2");
  assert.is(report.backend.threads, 2);
  const opsOf = (line: { profile: { lines: { op: string; scope: string }[] } }) =>
    line.profile.lines.map(({ op, scope }) => `${scope} ${op}`);
  assert.ok(opsOf(report.vision[0]).includes("blocks.attention attention_varlen"));
  assert.ok(opsOf(report.prefill[0]).includes("layers.mlp linear"));
  assert.ok(opsOf(report.decode[0]).includes("layers.attention attention_paged"));
  assert.ok(opsOf(report.decode[0]).includes("sample sample"));
  for (const { profile, operations } of [...report.vision, ...report.prefill, ...report.decode]) {
    const sum = (key: string) =>
      profile.lines.reduce((total: number, line: Record<string, number>) => total + (line[key] as number), 0);
    assert.ok(sum("milliseconds") > 0 && profile.runs >= 1);
    assert.is(sum("operations"), operations);
  }
  const svg = readFileSync(file, "utf8");
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" .*<\/svg>\n$/s);
  for (const words of [
    "84 x 84",
    "5 tokens",
    "context 20, batch 2",
    "Where the time goes",
    "prefers-color-scheme",
  ]) {
    assert.ok(svg.includes(words), words);
  }
  assert.not.match(svg, /NaN|Infinity|undefined/);
});

test("the text has a table for each kind of pass and their profiles; what is none is left out", () => {
  const { status, stdout, stderr } = bench(...SMALL, "--image", "none", "--profile", "--threads", "1");
  assert.is(status, 0, stderr);
  assert.match(stdout, /^ceilings +before +after$/m);
  assert.match(stdout, /^ {2}5 tokens( +[\d.]+){4} +[\d.]+ MiB +\d+ %, (arithmetic|reading)$/m);
  assert.match(stdout, /^decode 20, batch 1, by part +ms +of all/m);
  assert.match(stdout, /^ {2}\d+ x layers\.attention( +[\d.]+) +\d+ %/m);
  assert.not.match(stdout, /vision|NaN|Infinity|undefined/);
});

test("a size that does not fit memory says so, and the others are measured", () => {
  const { report, stderr } = json(...SMALL, "--batch", "1,2000000", "--threads", "1");
  const [fits, doesNot] = report.decode;
  assert.ok(fits.tokensPerSecond > 0);
  assert.is(doesNot.error.code, "OUT_OF_MEMORY");
  assert.is(doesNot.batch, 2000000);
  assert.match(stderr, /batch 2000000: not measured, /);
});

test("the reference backend is measured without ceilings", () => {
  const flags = ["--image", "none", "--prefill", "3", "--context", "none", "--seconds", "0.01"];
  const { report } = json(...flags, "--backend", "reference", "--profile");
  assert.is(report.ceilings, null);
  assert.is(report.prefill[0].ceiling, null);
  assert.ok(
    report.prefill[0].profile.lines.every((line: Record<string, unknown>) => line.leastMilliseconds === null),
  );
});

for (const [flags, expected] of [
  [["--context", "128,100000000"], /--context is 100000000, more than the \d+ tokens/],
  [["--prefill", "100000000"], /--prefill is 100000000, more than the \d+ tokens/],
] as const) {
  test(`${flags.join(" ")} is refused before anything is loaded`, () => {
    const { status, stdout, stderr } = bench(...flags);
    assert.equal([status, stdout], [1, ""]);
    assert.match(stderr, expected);
    assert.not.match(stderr, /loaded in/);
  });
}

for (const [flags, expected] of [
  [["--dtype", "f8"], /--dtype .*f8/],
  [["--prefill", "12,x"], /--prefill .*whole numbers from 1/],
  [["--batch", "0"], /--batch .*whole numbers from 1/],
  [["--image", "616"], /--image .*WIDTHxHEIGHT/],
  [["--image", "616x1"], /616/],
  [["--seconds", "0"], /--seconds is 0/],
  [["--threads", "0"], /threads is 0/],
] as const) {
  test(`${flags.join(" ")} is refused`, async () => {
    assert.match(await complaint(benchCommand(), [DEMO, ...flags]), expected);
  });
}

test("Ctrl-C ends a measurement with 130 and no error line", async () => {
  const child = spawn(process.execPath, [
    "dist/cli.js",
    "bench",
    DEMO,
    "--image",
    "none",
    "--seconds",
    "600",
  ]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
    if (stderr.includes("loaded in")) child.kill("SIGINT");
  });
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.is(status, 130);
  assert.is(stdout, "");
  assert.not.match(stderr, /glimt: /);
});

test("reading is measured over less than the machine has left", () => {
  const MB = 1 << 20;
  assert.is(roomToRead(undefined, 400 * MB), 300 * MB);
  assert.is(roomToRead(100 * MB, 400 * MB), 100 * MB);
  assert.is(roomToRead(350 * MB, 400 * MB), 300 * MB);
  assert.is(roomToRead(undefined, 0), 64 * MB);
});

test.run();
