/**
 * Makes the report of a run of bench/gpu.sh: `node bench/gpu/report.mjs RAW OUT` reads what the steps left in RAW and
 * writes OUT/gpu-report.json and OUT/gpu-report.md. What a step did not leave is left out.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [raw, out] = process.argv.slice(2);

/** Shares of the measured limits, and times transformers' eager speed. */
const GOALS = { decode: 0.8, prefill: 0.55, vision: 0.45, transformers: 3 };

const text = (name) => (existsSync(join(raw, name)) ? readFileSync(join(raw, name), "utf8") : "");
const lines = (name) => text(name).split("\n").filter(Boolean);

function json(name) {
  try {
    return JSON.parse(text(name));
  } catch {
    // A step that was stopped may have left half a file, or none.
    return null;
  }
}

const named = (prefix) =>
  readdirSync(raw)
    .filter((name) => name.startsWith(prefix) && name.endsWith(".json"))
    .sort()
    .map((name) => [name.slice(prefix.length, -".json".length), json(name)])
    .filter(([, content]) => content !== null);

const report = {
  facts: Object.fromEntries(lines("facts.tsv").map((line) => line.split("\t"))),
  goals: GOALS,
  steps: lines("steps.tsv").map((line) => {
    const [name, status, seconds, remark] = line.split("\t");
    return { name, status, seconds: Number(seconds), remark };
  }),
  ceilings: json("ceilings.json"),
  conformance: conformance(json("conformance.json")),
  golden: Object.fromEntries(named("golden-").map(([name, { results }]) => [name, results])),
  speed: Object.fromEntries(named("speed-")),
  transformers: Object.fromEntries(named("peer-")),
};
writeFileSync(join(out, "gpu-report.json"), `${JSON.stringify(report, null, 1)}\n`);
writeFileSync(join(out, "gpu-report.md"), markdown());

/** By backend and op the number of cases and the worst difference; of failures everything. */
function conformance(found) {
  if (!found) return null;
  const columns = found.columns.map(({ title, results, models }) => {
    const ops = {};
    for (const { op, skippedReason, ok, maxRel } of results) {
      ops[op] ??= { cases: 0, skipped: 0, failed: 0, maxRel: 0 };
      const row = ops[op];
      if (skippedReason !== undefined) row.skipped += 1;
      else row.cases += 1;
      if (!ok) row.failed += 1;
      if (Number.isFinite(maxRel)) row.maxRel = Math.max(row.maxRel, maxRel);
    }
    const failures = results
      .filter(({ ok }) => !ok)
      .map(({ caseName, failure }) => `${caseName}: ${failure}`);
    return { title, ops, models, failures };
  });
  return { ok: found.ok, refused: found.refused, columns };
}

function markdown() {
  const sections = [
    "# GPU report",
    "Written by `bench/gpu.sh` (see [gpu.md](gpu.md)). Weights are random; sizes are the released ones.",
    table(["", ""], Object.entries(report.facts)),
    "## Steps",
    table(
      ["step", "result", "seconds", "remark"],
      report.steps.map(({ name, status, seconds, remark }) => [name, status, seconds, remark]),
    ),
    ...ceilingsSection(),
    ...Object.entries(report.speed).flatMap(speedSection),
    ...Object.entries(report.transformers).flatMap(peerSection),
    ...conformanceSection(),
    ...Object.entries(report.golden).flatMap(goldenSection),
    ...kernelsSection(),
  ];
  return `${sections.join("\n\n")}\n`;
}

function ceilingsSection() {
  const { ceilings } = report;
  if (!ceilings) return ["## Limits", "They were not measured, so no shares are given."];
  const { readGBps, copyGBps, libraryTflops, registerTflops, library } = ceilings;
  return [
    "## Limits, measured in this run",
    table(
      ["", ""],
      [
        ["reading memory once", `${readGBps} GB/s`],
        ["copying memory, bytes read and written", `${copyGBps} GB/s`],
        ["bf16 products through cuBLASLt", `${libraryTflops} TFLOP/s (${library})`],
        ["bf16 products in registers, mma.sync", `${registerTflops} TFLOP/s`],
      ],
    ),
  ];
}

function speedSection([name, speed]) {
  const { ceilings, startUp, decode, prefill, vision, checked } = speed;
  const read = ceilings?.readGBps;
  const peak = ceilings?.matrixTflops;
  const decodeRows = decode.map(({ batch, median, device, tokensPerSecond, bytes }) => {
    const share = read && bytes / median / 1e6 / read;
    const deviceShare = read && device && bytes / device / 1e6 / read;
    const goal = batch === 1 ? verdict(share, GOALS.decode) : "";
    return [
      batch,
      fixed(median, 2),
      fixed(device, 2),
      fixed(tokensPerSecond, 0),
      percent(share),
      percent(deviceShare),
      goal,
      ...against(name, batch, tokensPerSecond),
    ];
  });
  const passRows = [
    [`prefill, ${prefill.size} tokens`, prefill, GOALS.prefill, "prefill"],
    [`page, ${vision.size} patches`, vision, GOALS.vision, "vision"],
  ].map(([title, pass, goal, key]) => {
    const share = peak && pass.operations / pass.median / 1e9 / peak;
    const eager = report.transformers[name]?.eager?.[key]?.median;
    return [
      title,
      fixed(pass.median, 1),
      fixed(pass.device, 1),
      fixed(pass.operations / pass.median / 1e9, 1),
      percent(share),
      verdict(share, goal),
      eager ? `${fixed(eager / pass.median, 2)} x` : "",
    ];
  });
  return [
    `## Speed: ${name}`,
    `${speed.model}, ${speed.numHiddenLayers} layers, ${speed.depth} blocks, ${speed.weights} weights, ${speed.activations} activations, cuBLASLt ${speed.cublas === "no" ? "not allowed" : "allowed"}, graphs ${speed.graphs === "no" ? "off" : "on"}; ${speed.description}. Checked before timing: ${checked.greedyAgreement}/${checked.steps} greedy tokens of the reference backend on a small model, largest relative difference ${checked.maxRel.toExponential(1)}.`,
    `Start: compiling ${fixed(startUp.compileMs, 0)} ms, opening and uploading ${fixed(startUp.weightBytes / 1e9, 2)} GB ${fixed(startUp.loadMs, 0)} ms, first step ${fixed(startUp.firstStepMs, 0)} ms. Held at the end: ${fixed(speed.liveBytes / 1e9, 2)} GB.${replays(speed.statistics)}`,
    table(
      [
        `batch (context ${decode[0]?.context})`,
        "ms a step",
        "device ms",
        "tokens/s",
        "of bandwidth",
        "device alone",
        "goal",
        "to transformers eager",
        "to compiled",
      ],
      decodeRows,
    ),
    table(["pass", "ms", "device ms", "TFLOP/s", "of peak", "goal", "to transformers eager"], passRows),
  ];
}

function replays(statistics) {
  if (!statistics) return "";
  const { graphCaptures, graphReplays, eagerRuns } = statistics;
  return ` Of all runs ${graphReplays} were replays of ${graphCaptures} captured graphs, ${eagerRuns} were not.`;
}

/** How many times transformers' tokens a second, eager and compiled. */
function against(name, batch, tokensPerSecond) {
  const peer = report.transformers[name];
  return ["eager", "compiled"].map((mode) => {
    const found = peer?.[mode]?.decode.find((row) => row.batch === batch);
    if (!found) return "";
    const times = tokensPerSecond / found.tokensPerSecond;
    const goal = mode === "eager" && batch === 1 ? `, ${verdict(times, GOALS.transformers, "x")}` : "";
    return `${fixed(times, 2)} x${goal}`;
  });
}

function peerSection([name, peer]) {
  const rows = ["eager", "compiled"].flatMap((mode) =>
    peer[mode].decode.map(({ batch, median, tokensPerSecond }) => [
      `${mode} decode, batch ${batch}`,
      fixed(median, 2),
      fixed(tokensPerSecond, 0),
    ]),
  );
  for (const key of ["prefill", "vision"]) {
    const pass = peer.eager[key];
    if (pass) rows.push([`eager ${key}, ${pass.size}`, fixed(pass.median, 1), ""]);
  }
  return [
    `## transformers ${peer.transformers}, torch ${peer.torch}: ${name}`,
    table(["", "ms", "tokens/s"], rows),
    ...peer.failures.map((failure) => `Failed: ${failure}`),
  ];
}

function conformanceSection() {
  if (!report.conformance) return [];
  const { columns, refused } = report.conformance;
  const ops = [...new Set(columns.flatMap((column) => Object.keys(column.ops)))];
  const models = [...new Set(columns.flatMap((column) => column.models.map(({ model }) => model)))];
  const rows = [
    ...ops.map((op) => [op, ...columns.map(({ ops: found }) => opCell(found[op]))]),
    ...models.map((model) => [
      `model ${model}`,
      ...columns.map((column) => modelCell(column.models.find((result) => result.model === model))),
    ]),
  ];
  return [
    "## Conformance",
    table(["", ...columns.map(({ title }) => title)], rows),
    ...columns.flatMap(({ title, failures }) =>
      failures.slice(0, 20).map((failure) => `Failed on ${title}: ${failure}`),
    ),
    ...Object.entries(refused).map(([backend, reason]) => `Not run: ${backend}: ${reason}`),
  ];
}

function opCell(op) {
  if (!op || op.cases === 0) return "not run";
  const result = op.failed === 0 ? `${op.cases} ok` : `**${op.failed} of ${op.cases} failed**`;
  return `${result}, ${op.maxRel.toExponential(1)}`;
}

function modelCell(model) {
  if (!model) return "not run";
  const { ok, greedyAgreement, steps, maxRel } = model;
  return `${ok ? "ok" : "**failed**"}, ${greedyAgreement}/${steps} greedy, ${Number(maxRel).toExponential(1)}`;
}

function goldenSection([name, results]) {
  const good = results.filter(({ ok }) => ok).length;
  const how = /^b?f\d+$/.test(name) ? `${name} activations` : `f32 activations, several GPUs (${name})`;
  return [
    `## Golden models against transformers, ${how}: ${good} of ${results.length}`,
    table(
      ["case", "", "tokens", "largest logit difference"],
      results.map(({ name, ok, agreed, tokens, logitDifference, failure }) => [
        name,
        ok ? "ok" : `**${failure}**`,
        `${agreed}/${tokens}`,
        Number(logitDifference).toExponential(1),
      ]),
    ),
  ];
}

function kernelsSection() {
  const kernels = text("ptxas.md").trim();
  return kernels ? ["## Kernels as compiled for this card (ptxas)", kernels] : [];
}

function table(head, rows) {
  const row = (cells) => `| ${cells.map((cell) => String(cell ?? "").replaceAll("|", "\\|")).join(" | ")} |`;
  return [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");
}

function fixed(value, digits) {
  return Number.isFinite(value) ? value.toFixed(digits) : "";
}

function percent(share) {
  return Number.isFinite(share) && share !== 0 ? `${(100 * share).toFixed(0)} %` : "";
}

function verdict(reached, goal, unit) {
  if (!Number.isFinite(reached) || reached === 0) return "";
  const wanted = unit ? `${goal} ${unit}` : `${100 * goal} %`;
  return reached >= goal ? `${wanted}: met` : `${wanted}: **missed**`;
}
