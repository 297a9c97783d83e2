/**
 * glimt itself, on WebAssembly: `glimt.js CHECKPOINT OPTIONS`, with load options in JSON. What is timed is a run of a
 * stage's program, with choosing the token on the device.
 */
import { openModelOn } from "../../src/api/load-model.ts";
import { Random } from "../../src/conformance/random.ts";
import { operationsOf, programWork, sumWork } from "../../src/measure/work.ts";
import type { StageName } from "../../src/models/stages.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { nodeFiles, wasmBackend } from "../../src/node-files.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { stagePrograms } from "../../src/runtime/compile-stages.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import type { Stages } from "../../src/runtime/open-stages.ts";
import { GREEDY, PLAIN_STEP } from "../../src/runtime/sampling-rows.ts";
import type { ModelCore } from "../../src/serving/model-core.ts";
import { serve, stopwatch } from "./child.mjs";

interface Opened {
  readonly core: ModelCore;
  readonly stages: Stages;
  readonly programs: Record<StageName, VerifiedProgram>;
  readonly threads: number;
  /** As many tokens as `decode` was last asked to start from, and their cache. */
  filled?: { readonly sequence: Sequence; readonly context: number; readonly token: number };
}

interface Asked {
  readonly threads: number;
}

/** Tokens that are read one by one where a long context is asked for; the rest of it is copies of their pages. */
const READ_TOKENS = 512;

const [folder = "", given = "{}"] = process.argv.slice(2);
let current: Opened | undefined;

/** The model on so many threads, kept until another number is asked for: two of them would not fit every machine. */
async function open(threads: number): Promise<Opened> {
  if (current?.threads === threads) return current;
  await current?.core.dispose();
  current = undefined;
  const platform = { ...nodeFiles, backends: [wasmBackend] };
  const { core } = await openModelOn(platform, folder, { ...JSON.parse(given), threads });
  const stages = core.parts;
  current = { core, stages, programs: stagePrograms(stages) as Opened["programs"], threads };
  return current;
}

async function step(stages: Stages, sequence: Sequence, inputIds: readonly number[]): Promise<number> {
  const positionIds = textPositions(sequence.length, inputIds.length, 0);
  const [result] = await stages.decoder.forward([{ sequence, inputIds, positionIds, sampling: [GREEDY] }]);
  const [token] = answerOf(result).tokens;
  if (token === undefined || token < 0) throw new Error("The logits are not finite; the times mean nothing.");
  return token;
}

async function prefill({ ids, threads }: Asked & { ids: readonly number[] }) {
  const { stages, programs } = await open(threads);
  const sequence = new Sequence(stages.pool);
  // Taking memory is no part of it, as elsewhere.
  sequence.reserve(ids.length);
  const elapsed = stopwatch();
  await step(stages, sequence, ids);
  const time = elapsed();
  sequence.release();
  const symbols = stepSymbols(stages, ids.length);
  const extent = { queries: ids.length, context: ids.length };
  const work = sumWork(programWork(programs.decoder, { symbols, extents: [extent] }));
  return { times: [time], operations: operationsOf(work) };
}

/** Of a step of one sequence. */
function stepSymbols({ pool }: Stages, tokens: number) {
  const step = { sequences: 1, blocks: 1, slab: 0, features: 0, logits: 1, ...PLAIN_STEP };
  return { ...step, tokens, pages: pool.numPages };
}

/** @returns a sequence of `context` tokens, of which `ids` are the first, and the token that it chose last */
async function fill(opened: Opened, ids: readonly number[], context: number, room: number) {
  const { stages } = opened;
  if (opened.filled?.context === context) return opened.filled;
  opened.filled?.sequence.release();
  const sequence = new Sequence(stages.pool);
  sequence.reserve(context + room);
  const token = await step(stages, sequence, ids.slice(0, READ_TOKENS));
  const { pageSize } = stages.pool.layout;
  const source = sequence.blockTable.slice(0, Math.floor(sequence.length / pageSize));
  for (let block = Math.ceil(sequence.length / pageSize); block * pageSize < context; block++) {
    const from = source[block % source.length] as number;
    for (const tensor of Object.values(stages.pool.bindings())) {
      stages.engine.copy(tensor, sequence.blockTable[block] as number, { tensor, firstRow: from, rows: 1 });
    }
  }
  sequence.length = context;
  opened.filled = { sequence, context, token };
  return opened.filled;
}

interface DecodeRequest extends Asked {
  readonly ids: readonly number[];
  /** Tokens before the first step; default: those of `ids`. */
  readonly context?: number;
  readonly steps: number;
}

async function decode({ ids, context = ids.length, steps, threads }: DecodeRequest) {
  const opened = await open(threads);
  const { sequence, token } = await fill(opened, ids, context, steps);
  const times = [];
  const tokens = [token];
  for (let index = 0; index < steps; index++) {
    const elapsed = stopwatch();
    tokens.push(await step(opened.stages, sequence, tokens.slice(-1)));
    times.push(elapsed());
  }
  sequence.length = context;
  const extent = { queries: 1, context: context + Math.ceil(steps / 2) };
  const sizes = { symbols: stepSymbols(opened.stages, 1), extents: [extent] };
  const { bytes } = sumWork(programWork(opened.programs.decoder, sizes));
  return { times, tokens: tokens.slice(0, steps), bytes };
}

async function vision({ height, width, threads }: Asked & { height: number; width: number }) {
  const { stages, programs } = await open(threads);
  const { patchSize, inChannels, temporalPatchSize } = stages.config.vision;
  const gridThw: GridThw = [1, Math.floor(height / patchSize), Math.floor(width / patchSize)];
  const patches = gridThw[1] * gridThw[2];
  const random = new Random("page");
  const noise = Float32Array.from({ length: 65536 }, () => random.normal());
  const length = patches * inChannels * temporalPatchSize * patchSize ** 2;
  const pixelValues = Float32Array.from({ length }, (_, index) => noise[index % noise.length] as number);
  const elapsed = stopwatch();
  const features = await stages.encoder.encode([{ gridThw, pixelValues }]);
  const time = elapsed();
  features.release();
  const sizes = { symbols: { patches, frames: 1 }, extents: [{ queries: patches, context: patches }] };
  return { times: [time], operations: operationsOf(sumWork(programWork(programs.vision, sizes))) };
}

async function about({ threads }: Asked) {
  const { stages } = await open(threads);
  const { report } = stages.engine;
  return { about: `glimt ${GLIMT_VERSION}, ${JSON.stringify(report)}, Node ${process.version}` };
}

await serve({ about, prefill, decode, vision });
