/** `glimt conformance`: does every backend compute what it should on this machine? */

import { arch, cpus, platform, release } from "node:os";
import { Command, Option } from "commander";
import { version } from "../../package.json";
import type { Backend } from "../backends/backend.ts";
import { createCudaBackend } from "../backends/cuda/backend.node.ts";
import { type ActivationDType, runConformance } from "../conformance/conformance.ts";
import { runModelConformance } from "../conformance/models.ts";
import { htmlReport, type ReportColumn, textReport } from "../conformance/report.ts";
import { LOCAL_OPS } from "../graph/ops.ts";
import { backends } from "../index.ts";
import { progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { writeOutput } from "./write-output.ts";

interface ConformanceFlags {
  readonly json?: true;
  readonly html?: string;
  readonly cudaAddon?: string;
  readonly backend?: string;
}

export function conformanceCommand(): Command {
  return new Command("conformance")
    .description(
      "compare every backend that works here with the reference backend, op by op and on whole models",
    )
    .option("--json", JSON_HELP)
    .option("--html <file>", "write a report to attach to a bug")
    .option(
      "--cuda-addon <file>",
      "judge this build of the CUDA addon, which may be the one on the CPU emulator",
    )
    .addOption(
      new Option("--backend <name>", "judge this one alone").choices(
        backends.map(({ name }) => name).filter((name) => name !== "reference"),
      ),
    )
    .action(conformance);
}

async function conformance({ json, html, cudaAddon, backend: only }: ConformanceFlags): Promise<void> {
  const columns: ReportColumn[] = [];
  const refused: Record<string, string> = {};
  for (const backend of judgedBackends(cudaAddon)) {
    if (only !== undefined && backend.name !== only) continue;
    const probe = await backend.probe();
    if (probe.ok) columns.push(await judged(backend, json !== true));
    else refused[backend.name] = probe.reason;
  }
  const facts = {
    glimt: version,
    node: process.version,
    system: `${platform()} ${release()} ${arch()}, ${cpus()[0]?.model ?? "unknown processor"}`,
    ...Object.fromEntries(Object.entries(refused).map(([name, reason]) => [`not ${name}`, reason])),
  };
  const failed = columns.some(({ results, models }) => [...results, ...models].some(({ ok }) => !ok));
  const writePage = async () => {
    if (html !== undefined) await writeOutput("--html", html, htmlReport(columns, facts));
  };
  if (failed) process.exitCode = 1;
  if (json) {
    // First: an error takes the place of the object.
    await writePage();
    console.log(JSON.stringify({ facts, refused, ok: !failed, columns }));
    return;
  }
  console.log(textReport(columns));
  for (const [name, reason] of Object.entries(refused)) console.log(`${name} was not run: ${reason}`);
  // Last: what was found is on the screen even when the page can not be written.
  await writePage();
}

/** CUDA with its usual activations, and with those that are compared most strictly. */
function judgedBackends(addonPath: string | undefined): Backend[] {
  const cuda = (["bf16", "f32"] as const).map((activations) => createCudaBackend({ activations, addonPath }));
  return [...cuda, ...backends.filter(({ name }) => name !== "reference" && name !== "cuda")];
}

async function judged(backend: Backend, showProgress: boolean): Promise<ReportColumn> {
  const progress = progressLine(showProgress);
  const activation = backend.activationDType as ActivationDType;
  const results = await runConformance(backend, {
    onResult: ({ op }) => progress.show(`${backend.name} ${op}`, LOCAL_OPS.indexOf(op) / LOCAL_OPS.length),
  });
  const models = await runModelConformance(backend);
  progress.clear();
  return { title: `${backend.name} ${activation}`, results, models };
}
