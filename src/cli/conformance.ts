/** `glimt conformance`: does every backend compute what it should on this machine? */

import { arch, cpus, platform, release } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { version } from "../../package.json";
import type { Backend } from "../backends/backend.ts";
import { createCudaBackend } from "../backends/cuda/backend.node.ts";
import { type ActivationDType, type ConformanceResult, runConformance } from "../conformance/conformance.ts";
import { runModelConformance } from "../conformance/models.ts";
import { cellText, htmlReport, type ReportColumn, reportCell, textReport } from "../conformance/report.ts";
import { LOCAL_OPS, type LocalOp } from "../graph/ops.ts";
import { nodePlatform } from "../node-engine.ts";
import { progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { checkOutput, writeOutput } from "./write-output.ts";

interface ConformanceFlags {
  readonly json?: true;
  readonly html?: string;
  readonly cudaAddon?: string;
  readonly backend?: string;
  readonly op?: readonly LocalOp[];
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
        nodePlatform.backends.map(({ name }) => name).filter((name) => name !== "reference"),
      ),
    )
    .option("--op <name>", "judge this op alone, and no whole models; may be repeated", localOp)
    .action(conformance);
}

async function conformance({
  json,
  html,
  cudaAddon,
  backend: only,
  op: ops = LOCAL_OPS,
}: ConformanceFlags): Promise<void> {
  if (html !== undefined) await checkOutput("--html", html);
  const columns: ReportColumn[] = [];
  const refused: Record<string, string> = {};
  for (const backend of judgedBackends(cudaAddon)) {
    if (only !== undefined && backend.name !== only) continue;
    const probe = await backend.probe();
    if (probe.ok) columns.push(await judged(backend, ops));
    else refused[backend.name] = probe.reason;
  }
  const facts = {
    glimt: version,
    node: process.version,
    system: `${platform()} ${release()} ${arch()}, ${cpus()[0]?.model ?? "unknown processor"}`,
    ...Object.fromEntries(Object.entries(refused).map(([name, reason]) => [`not ${name}`, reason])),
  };
  const isRight = ({ results, models }: ReportColumn) => [...results, ...models].every(({ ok }) => ok);
  // A backend that was asked for and can not run was not found right.
  const failed = columns.length === 0 || !columns.every(isRight);
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
  return [...cuda, ...nodePlatform.backends.filter(({ name }) => name !== "reference" && name !== "cuda")];
}

async function judged(backend: Backend, ops: readonly LocalOp[]): Promise<ReportColumn> {
  const title = `${backend.name} ${backend.activationDType as ActivationDType}`;
  const progress = progressLine(true);
  /** Where no line can move there is one for each op and model, so that a log shows how far it is. */
  const say = (line: string) => {
    if (!process.stderr.isTTY) console.error(`${title}: ${line}`);
  };
  let own: ConformanceResult[] = [];
  const sayOp = () => {
    if (own[0]) say(`${own[0].op}, ${cellText(reportCell(own, own[0].op))}`);
    own = [];
  };
  const results = await runConformance(backend, {
    ops,
    onResult: (result, share) => {
      if (own[0]?.op !== result.op) sayOp();
      own.push(result);
      progress.show(`${title}: ${result.op},`, share);
    },
  });
  sayOp();
  const onModel = (model: string, index: number, count: number) => {
    say(`model ${model}, ${index + 1} of ${count}`);
    progress.show(`${title}: model ${model},`, index / count);
  };
  const models = ops === LOCAL_OPS ? await runModelConformance(backend, { onModel }) : [];
  progress.clear();
  return { title, results, models };
}

function localOp(text: string, before: readonly LocalOp[] = []): LocalOp[] {
  const op = LOCAL_OPS.find((name) => name === text);
  if (op === undefined) throw new InvalidArgumentError(`There is no such op: ${LOCAL_OPS.join(", ")}.`);
  return [...before, op];
}
