/**
 * What sharing GLM-4.5V in fp8 between cards would bring: predicted from the ranks' programs and the figures in
 * bench/parallel/*.json (`--hardware FILE` for others, or measured ones). Nothing is run.
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { cudaWeightLayout } from "../src/backends/cuda/weight-layout.ts";
import { compileGraph } from "../src/compiler/compile.ts";
import { balancedCuts } from "../src/compiler/partition/pipeline-stages.ts";
import { parseModelConfig } from "../src/config/model-config.ts";
import type { Graph } from "../src/graph/graph.ts";
import { groupTime } from "../src/measure/group-time.ts";
import { type Hardware, readHardware } from "../src/measure/hardware.ts";
import type { RunSizes } from "../src/measure/work.ts";
import { buildDecoder } from "../src/models/decoder.ts";
import { communicationOf } from "../src/program/communication.ts";
import type { VerifiedProgram } from "../src/program/verify-program.ts";
import { storedBytes } from "../src/runtime/device-memory.ts";
import { NO_ADJUSTMENTS } from "../src/runtime/sampling-rows.ts";
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
const graph = buildDecoder(parseModelConfig(glm4vMoe), {
  activationDType: "bf16",
  weightDType: (tensors, cols) =>
    tensors.some((name) => PRECISE.test(name)) || !holdsColumns("fp8", cols) ? "bf16" : "fp8",
  pageSize: PAGE,
});

const programs = LAYOUTS.map(
  ([tensor, pipeline]) => [tensor, pipeline, programOf(graph, tensor, pipeline)] as const,
);
for (const file of files) {
  report(readHardware(JSON.parse(await readFile(file, "utf8"))));
}

function programOf(decoder: Graph, tensor: number, pipeline: number): VerifiedProgram {
  const cuts = balancedCuts(decoder, pipeline);
  const partition = tensor * pipeline > 1 ? { tensor, cuts } : undefined;
  return compileGraph(decoder, { weightLayout: cudaWeightLayout, partition });
}

function report(hardware: Hardware): void {
  console.log(`\nGLM-4.5V fp8, ${hardware.name} (${hardware.source})`);
  console.log(`context ${CONTEXT}; a step of decoding, and a prompt of ${CONTEXT} tokens read in one run`);
  const columns = BATCHES.flatMap((batch) => [`${batch}: ms`, "tokens/s", "waits"]);
  console.log(row("tensor x pipeline", "GB a card", ...columns, "prompt ms", "waits", "said/token"));
  for (const [tensor, pipeline, program] of programs) {
    const ranks = program.ranks ?? [program];
    const bytes = Math.max(...ranks.map(({ weights }) => storedBytes(weights)));
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
      ...NO_ADJUSTMENTS,
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
