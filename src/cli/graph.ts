/** `glimt graph`: a model's programs with every fused op and f32 activations; a backend expands the ops that it lacks. */
import { Command, Option } from "commander";
import { chooseWeightFormat } from "../api/weight-dtype.ts";
import { mtpLayerOf } from "../checkpoint/mtp-layer.ts";
import { compileGraph, optimizeGraph } from "../compiler/compile.ts";
import { printGraph, printProgram } from "../compiler/print.ts";
import { openCheckpoint, openFiles } from "../index.ts";
import { modelStages, type StageName } from "../models/stages.ts";
import { DEFAULT_PAGE_SIZE } from "../runtime/compile-stages.ts";
import { PLAIN_STEP } from "../runtime/sampling-rows.ts";
import type { SymbolValues } from "../tensor/dims.ts";
import { type CheckpointFlags, checkpointOptions, withCheckpointOptions } from "./checkpoint-flags.ts";
import { type FormatFlags, withFormatOptions } from "./format-flags.ts";
import { wholeNumber } from "./model-options.ts";

interface GraphFlags extends CheckpointFlags, FormatFlags {
  readonly tokens: number;
  readonly patches: number;
  readonly context: number;
  readonly stage: "program" | "graph" | "model";
}

export function graphCommand(): Command {
  return withFormatOptions(withCheckpointOptions(new Command("graph")))
    .description("print a model's programs: ops, shapes, buffers, bytes")
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .option("--tokens <n>", "tokens in a decoder step, for the byte counts", wholeNumber, 512)
    .option("--patches <n>", "patches of a picture, for the byte counts", wholeNumber, 1024)
    .option("--context <n>", "tokens in the KV cache, for the byte counts", wholeNumber, 4096)
    .addOption(
      new Option("--stage <stage>", "model (as defined), graph (after the passes) or program")
        .choices(["model", "graph", "program"])
        .default("program"),
    )
    .action(show);
}

async function show(location: string, flags: GraphFlags): Promise<void> {
  const { tokens, patches, context, stage } = flags;
  const checkpoint = await openCheckpoint(await openFiles(location, checkpointOptions(flags)));
  const options = {
    activationDType: "f32",
    weightDType: chooseWeightFormat(checkpoint, flags),
    kvCacheDType: flags.kvCacheDtype,
    pageSize: DEFAULT_PAGE_SIZE,
    mtp: mtpLayerOf(checkpoint),
  } as const;
  const blocks = Math.ceil(context / DEFAULT_PAGE_SIZE);
  const step = {
    tokens,
    sequences: 1,
    blocks,
    pages: blocks,
    slab: 0,
    features: 0,
    logits: 1,
    ...PLAIN_STEP,
  };
  const symbols: Record<StageName, SymbolValues> = {
    vision: { patches, frames: 1 },
    decoder: step,
    drafting: { ...step, firsts: 1, nextFeatures: 0, "drafts.1": 1, "drafts.2": 1, "drafts.3": 1 },
  };
  for (const { name, graph } of modelStages(checkpoint.config, options)) {
    if (stage === "model") console.log(printGraph(graph));
    else if (stage === "graph") console.log(printGraph(optimizeGraph(graph)));
    else console.log(printProgram(compileGraph(graph), symbols[name]));
    console.log();
  }
}
