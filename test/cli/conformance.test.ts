/** `glimt conformance`: what it prints. What it judges is judged in test/conformance, over all cases. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { conformanceCommand } from "../../src/cli/conformance.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import { type ModelResult, runModelConformance } from "../../src/conformance/models.ts";
import { htmlReport, textReport } from "../../src/conformance/report.ts";
import { complaint, glimt, json } from "./command.ts";
import { onTerminal, PYTHON } from "./terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-conformance-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

test("--op judges that op alone: a matrix, an object, and a page", () => {
  const page = join(folder, "conformance.html");
  const ops = ["--op", "rms_norm", "--op", "gelu", "--backend", "wasm"];
  const found = json("conformance", ...ops, "--json", "--html", page);
  assert.is(found.ok, true);
  const [{ title, results, models }] = found.columns;
  assert.is(title, "wasm f32");
  assert.equal([...new Set(results.map(({ op }: { op: string }) => op))], ["rms_norm", "gelu"]);
  assert.equal(models, []);
  assert.match(readFileSync(page, "utf8"), /<td class="ok">ok, rel /);
  const { stdout, stderr } = glimt("conformance", ...ops);
  assert.match(stdout, /^ +wasm f32\nrms_norm +ok, rel .*\ngelu +ok, rel \S+\n/);
  // How far it is: where no line can move, one an op.
  assert.match(stderr, /^wasm f32: rms_norm, ok, rel \S+\nwasm f32: gelu, ok, rel \S+\n$/);
});

test("a backend that was asked for and can not run was not found right", () => {
  const nowhere = join(folder, "glimt.node");
  const args = ["conformance", "--backend", "cuda", "--op", "gelu", "--cuda-addon", nowhere];
  const { status, stdout } = glimt(...args, "--json");
  assert.is(status, 1);
  const { ok, columns, refused } = JSON.parse(stdout);
  assert.equal([ok, columns, Object.keys(refused)], [false, [], ["cuda"]]);
});

if (PYTHON !== undefined) {
  test("on a terminal one line moves and is cleared", () => {
    const { shown, status } = onTerminal(
      [process.execPath, "dist/cli.js", "conformance", "--backend", "wasm", "--op", "gelu"],
      [],
    );
    assert.is(status, 0);
    assert.ok(shown.includes("\r\x1b[Kwasm f32: gelu, 50 %"), shown);
    assert.ok(shown.includes("100 %\r\x1b[K  "), "cleared before the matrix");
    assert.not.match(shown, /f32: gelu, ok/);
  });
}

test("a page has failures first, as text", () => {
  const failed = {
    op: "gelu",
    caseName: "<b>&",
    backend: "wasm",
    activation: "f32",
    weight: "f32",
    maxAbs: 1,
    maxRel: 2,
    ok: false,
    failure: "y[0] is <i>",
  } as const;
  const page = htmlReport([{ title: "wasm <f32>", results: [failed], models: [] }], { "a<b": "c&d" });
  assert.match(
    page,
    /Failures<.*FAILED wasm &lt;f32&gt;: &lt;b&gt;&amp;: y\[0\] is &lt;i&gt;<.*Ops and models</s,
  );
  assert.match(page, /<td class="failed">1 of 1 FAILED, rel 2.0e\+0<br><small>abs 1.0e\+0, 1 cases</);
  assert.match(page, /<dt>a&lt;b<\/dt><dd>c&amp;d<\/dd>/);
});

test("models are told as they begin", async () => {
  const told: unknown[] = [];
  const { glm4v } = MODEL_CONFIGS as { glm4v: ModelConfig };
  await runModelConformance(wasmBackend, { configs: { glm4v }, onModel: (...about) => told.push(about) });
  assert.equal(told, [["glm4v", 0, 1]]);
});

test("whole models have a line of their own in the matrix and on the page", async () => {
  const [model] = await runModelConformance(wasmBackend, {
    configs: { glm4v: MODEL_CONFIGS.glm4v as ModelConfig },
  });
  const columns = [{ title: "wasm f32", results: [], models: [model as ModelResult] }];
  assert.match(textReport(columns), /glm4v.*12\/12 greedy/);
  assert.match(htmlReport(columns, {}), /<td class="ok">ok, rel .*12\/12 greedy/);
});

test("conformance --backend judges that one alone", async () => {
  const { columns, refused } = json("conformance", "--json", "--backend", "wasm", "--op", "gelu");
  const names = [...columns.map(({ title }: { title: string }) => title), ...Object.keys(refused)];
  assert.ok(names.length > 0 && names.every((name) => name.startsWith("wasm")), names.join());
  assert.match(
    await complaint(conformanceCommand(), ["--backend", "reference"]),
    /Allowed choices are cuda, wasm/,
  );
  assert.match(
    await complaint(conformanceCommand(), ["--op", "softmux"]),
    /--op.*softmux.*no such op: .*rms_norm/,
  );
});

test.run();
