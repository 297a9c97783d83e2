/** `glimt inspect`: what is in a checkpoint, and what it needs in memory. */

import { Command } from "commander";
import { describeStorage, type StoredWeights } from "../api/weight-storage.ts";
import { storageTotals } from "../checkpoint/tensor-storage.ts";
import { formatBytes } from "../compiler/print.ts";
import { describeCheckpoint, openCheckpoint, openFiles } from "../index.ts";
import { nodePlatform } from "../node-engine.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { type CheckpointFlags, checkpointOptions, withCheckpointOptions } from "./checkpoint-flags.ts";
import { conversionText } from "./conversion-text.ts";
import { engineFacts, engineLine } from "./engine-flags.ts";
import { type FormatFlags, withFormatOptions } from "./format-flags.ts";
import { JSON_HELP } from "./report.ts";

export function inspectCommand(): Command {
  return withFormatOptions(withCheckpointOptions(new Command("inspect")))
    .description("show what is in a checkpoint and what it needs in memory; reads no weights")
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .option("--json", JSON_HELP)
    .action(inspect);
}

interface InspectFlags extends CheckpointFlags, FormatFlags {
  readonly json?: true;
}

async function inspect(location: string, flags: InspectFlags): Promise<void> {
  const checkpoint = await openCheckpoint(await openFiles(location, checkpointOptions(flags)));
  const found = describeCheckpoint(checkpoint);
  const host = await chooseBackend(nodePlatform.backends, "auto");
  const stored = describeStorage(checkpoint, flags, host.backend);
  const weightBytes = Object.values(stored.bytes).reduce((sum, bytes) => sum + bytes, 0);
  const { vision, text } = checkpoint.config;
  const kvBytesPerToken = found.kvBytesPerToken(flags.kvCacheDtype ?? "f32");
  if (flags.json) {
    const { kvBytesPerToken: _, ...facts } = found;
    const { config, notes } = checkpoint;
    console.log(JSON.stringify({ ...facts, stored, kvBytesPerToken, config, notes, host: hostFacts(host) }));
    return;
  }
  const rows: [string, string][] = [
    ["model", `${found.architecture} (${found.family}), ${found.processor} processor`],
    [
      "parameters",
      `${(found.total.parameters / 1e6).toFixed(1)} M in ${found.total.tensors} tensors, ${formatBytes(found.total.bytes)}`,
    ],
    ["files", found.files.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join(", ")],
    ["types", found.dtypes.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join(", ")],
    ...found.parts.map(({ name, parameters, bytes }): [string, string] => [
      `  ${name}`,
      `${(parameters / 1e6).toFixed(2)} M, ${formatBytes(bytes)}`,
    ]),
    [
      "vision",
      checkpoint.config.textOnly ??
        `${vision.depth} blocks of ${vision.hiddenSize}, ${vision.numHeads} heads of ${vision.headDim}, patches of ${vision.patchSize}`,
    ],
    [
      "text",
      `${text.numHiddenLayers} layers of ${text.hiddenSize}, ${text.numAttentionHeads} heads over ${text.numKeyValueHeads} of ${text.headDim}, vocabulary ${text.vocabSize}`,
    ],
    [
      "context",
      `${text.maxPositionEmbeddings} tokens, KV cache ${formatBytes(kvBytesPerToken)} a token in ${flags.kvCacheDtype ?? "f32"}`,
    ],
    [
      "memory",
      `weights ${formatBytes(weightBytes)} + KV cache ${formatBytes(4096 * kvBytesPerToken)} for 4096 tokens`,
    ],
    [
      "  weights",
      Object.entries(stored.bytes)
        .map(([format, bytes]) => `${format} ${formatBytes(bytes)}`)
        .join(", "),
    ],
    ...storageTotals(stored.tensors).map((totals, index): [string, string] => [
      index === 0 ? "  become" : "",
      conversionText(totals),
    ]),
    ...preciseRows(stored.precise),
    ...checkpoint.notes.map((note, index): [string, string] => [index === 0 ? "notes" : "", note]),
    ["runs on", hostLine(host)],
  ];
  for (const [name, value] of rows) console.log(`${name.padEnd(12)}${value}`);
}

type Host = Awaited<ReturnType<typeof chooseBackend>>;

/** What this host would run a model on that asks for nothing, and why not on something better. */
function hostFacts({ backend, report, refused }: Host) {
  return { backend: backend.name, engine: engineFacts(report), refused };
}

function hostLine({ backend, report, refused }: Host): string {
  const reasons = refused.map(({ reason }) => reason);
  return [`${backend.name}: ${engineLine(report)}`, ...reasons].join(". ");
}

/** What a format of blocks was asked for and can not have, layers counted together. */
function preciseRows(precise: StoredWeights["precise"]): [string, string][] {
  const counts = new Map<string, number>();
  for (const { name, shape, dtype } of precise) {
    const kind = `${name.replace(/\.\d+\./g, ".*.")} [${shape.join(", ")}] ${dtype}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count], index) => [index === 0 ? "  precise" : "", `${count} x ${kind}`]);
}
