/**
 * What sharing GLM-4.5V in fp8 between cards would bring: predicted from the ranks' programs and the figures in
 * bench/parallel/*.json (`--hardware FILE` for others, or measured ones), and what a tower on a card of its own would.
 * Nothing is run.
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import type { CompileTarget } from "../src/backends/backend.ts";
import { cudaWeightLayout } from "../src/backends/cuda/weight-layout.ts";
import { parseModelConfig } from "../src/config/model-config.ts";
import { groupTime, linkSeconds } from "../src/measure/group-time.ts";
import { type Hardware, readHardware } from "../src/measure/hardware.ts";
import type { RunSizes } from "../src/measure/work.ts";
import type { GridThw } from "../src/processor/grid.ts";
import { communicationOf } from "../src/program/communication.ts";
import {
  compileStages,
  type GroupStages,
  type StagePrograms,
  stagePrograms,
} from "../src/runtime/compile-stages.ts";
import { deviceShares, storedBytes } from "../src/runtime/device-memory.ts";
import { encoderItemSpecs, encoderRunSymbols } from "../src/runtime/encoder-batch.ts";
import { encoderRanks } from "../src/runtime/encoder-shares.ts";
import { PLAIN_STEP } from "../src/runtime/sampling-rows.ts";
import { holdsColumns } from "../src/tensor/storage.ts";
import { glm4vMoe } from "../test/config/released.ts";
import { row } from "./kernels.ts";

const { values: flags } = parseArgs({
  options: { hardware: { type: "string", multiple: true } },
});
const files = flags.hardware ?? ["bench/parallel/h100-nvlink.json", "bench/parallel/h100-ethernet.json"];

/** [tensor ranks, pipeline stages] */
const LAYOUTS = [
  [1, 1],
  [2, 1],
  [1, 2],
  [4, 1],
  [2, 2],
  [8, 1],
  [4, 2],
] as const;
const CONTEXT = 4096;
const BATCHES = [1, 32, 128] as const;
const PAGE = 16;

/** As zai-org/GLM-4.5V-FP8 has them: the decoder's linears, but for the router and the head. */
const PRECISE = /^model\.visual\.|embed_tokens|lm_head|\.mlp\.gate\.weight$/;
const config = parseModelConfig(glm4vMoe);

/** Of requests that have one: 1344 x 1344 pixels. */
const PICTURE: GridThw = [1, 96, 96];
/** New tokens of such a request, of as many under way as the second of the batches. */
const ANSWER = 256;
const TOWERS: readonly (readonly [string, GroupStages])[] = [
  ["4 x 1, shared", { tensor: 4, pipeline: 1, encoder: "tensor" }],
  ["4 x 1, dealt", { tensor: 4, pipeline: 1, encoder: "data" }],
  ["4 x 1 + 1", { tensor: 4, pipeline: 1, encoder: "stage", encoders: 1 }],
  ["8 x 1, dealt", { tensor: 8, pipeline: 1, encoder: "data" }],
  ["8 x 1 + 1", { tensor: 8, pipeline: 1, encoder: "stage", encoders: 1 }],
];

const programs = LAYOUTS.map(
  ([tensor, pipeline]) =>
    [tensor, pipeline, programsOf(tensor * pipeline > 1 ? { tensor, pipeline } : undefined)] as const,
);
const towers = TOWERS.map(([name, group]) => [name, group, programsOf(group)] as const);
for (const file of files) {
  const hardware = readHardware(JSON.parse(await readFile(file, "utf8")));
  report(hardware);
  reportTowers(hardware);
}

function programsOf(group: GroupStages | undefined): StagePrograms {
  const target: CompileTarget = {
    activationDType: "bf16",
    supports: () => ({ ok: true }),
    weightLayout: cudaWeightLayout,
  };
  return stagePrograms(
    compileStages(target, config, {
      weightDType: (tensors, cols) =>
        tensors.some((name) => PRECISE.test(name)) || !holdsColumns("fp8", cols) ? "bf16" : "fp8",
      group,
    }),
  );
}

function report(hardware: Hardware): void {
  console.log(`\nGLM-4.5V fp8, ${hardware.name} (${hardware.source})`);
  console.log(`context ${CONTEXT}; a step of decoding, and a prompt of ${CONTEXT} tokens read in one run`);
  const columns = BATCHES.flatMap((batch) => [`${batch}: ms`, "tokens/s", "waits"]);
  console.log(row("tensor x pipeline", "GB a card", ...columns, "prompt ms", "waits", "said/token"));
  for (const [tensor, pipeline, model] of programs) {
    const program = model.decoder;
    const ranks = program.ranks ?? [program];
    const bytes = Math.max(...deviceShares(Object.values(model)).map(({ weightBytes }) => weightBytes));
    const cells = BATCHES.flatMap((batch) => {
      // As many parts of the batch are under way as there are stages.
      const part = Math.max(1, Math.floor(batch / pipeline));
      const { latency, interval, communicatingShare } = groupTime(program, tensor, decoding(part), hardware);
      const ahead = Math.min(batch, pipeline);
      const perSecond = (part * Math.min(ahead, latency / interval)) / latency;
      return [ms(latency), perSecond.toFixed(0), share(communicatingShare)];
    });
    const prompt = groupTime(program, tensor, prefill(CONTEXT), hardware);
    const said = ranks.flatMap((rank) => communicationOf(rank, decoding(1).symbols));
    const saidBytes = said.reduce((sum, { bytes: given }) => sum + given, 0);
    const fits = bytes < hardware.memoryBytes ? "" : "!";
    console.log(
      row(
        `${tensor} x ${pipeline}`,
        `${(bytes / 1e9).toFixed(1)}${fits}`,
        ...cells,
        ms(prompt.latency),
        share(prompt.communicatingShare),
        `${(saidBytes / 1e6).toFixed(1)} MB`,
      ),
    );
  }
}

/** Requests with a picture: how long answers under way stand still for one, and how many are done a second. */
function reportTowers(hardware: Hardware): void {
  const [spec] = encoderItemSpecs([PICTURE], config.vision.spatialMergeSize);
  if (!spec) return;
  const { inputSize: patches, outputTokens: features } = spec;
  console.log(
    `\na picture of ${patches} patches and ${ANSWER} new tokens a request, ${BATCHES[1]} of them at a time`,
  );
  console.log(row("tower", "GB a card", "of the tower", "picture ms", "stands still", "requests/s"));
  for (const [name, { tensor, encoders = 0 }, { vision, decoder }] of towers) {
    if (!vision) continue;
    const isApart = encoders > 0;
    const ranksOf = (program: typeof decoder) =>
      (program.ranks ?? []).map(({ weights }) => storedBytes(weights));
    const [own, ofTower] = [ranksOf(decoder), ranksOf(vision)];
    const most = Math.max(...own.map((bytes, rank) => (bytes > 0 ? bytes + (ofTower[rank] ?? 0) : 0)));
    const run = {
      symbols: encoderRunSymbols([spec], null),
      extents: [{ queries: patches, context: patches }],
    };
    const bytes = 2 * features * config.text.hiddenSize;
    const { isDealt } = encoderRanks(vision, decoder);
    const sent = isDealt ? linkSeconds("send", bytes, 1, hardware.link) : 0;
    const encode = groupTime(vision, tensor, run, hardware).latency;
    const rest =
      sent +
      groupTime(decoder, tensor, prefill(features), hardware).latency +
      (ANSWER * groupTime(decoder, tensor, decoding(BATCHES[1]), hardware).latency) / BATCHES[1];
    console.log(
      row(
        name,
        (most / 1e9).toFixed(1),
        (Math.max(...ofTower) / 1e9).toFixed(1),
        ms(encode),
        ms(sent + (isApart ? 0 : encode)),
        (1 / (isApart ? Math.max(encode, rest) : encode + rest)).toFixed(1),
      ),
    );
  }
}

function decoding(sequences: number): RunSizes {
  return sizes(sequences, sequences, { queries: 1, context: CONTEXT });
}

function prefill(tokens: number): RunSizes {
  return sizes(tokens, 1, { queries: tokens, context: tokens });
}

function sizes(tokens: number, sequences: number, extent: RunSizes["extents"][number]): RunSizes {
  const blocks = Math.ceil(extent.context / PAGE);
  return {
    symbols: {
      tokens,
      sequences,
      blocks,
      pages: sequences * blocks,
      slab: 0,
      features: 0,
      logits: sequences,
      ...PLAIN_STEP,
    },
    extents: Array.from({ length: sequences }, () => extent),
  };
}

function ms(seconds: number): string {
  return (1000 * seconds).toFixed(1);
}

function share(part: number): string {
  return `${(100 * part).toFixed(0)} %`;
}
