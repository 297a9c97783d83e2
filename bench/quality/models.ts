/** Models with texts to compare storage formats on: the demo, golden prompts, and random weights of any size. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { CacheStorage } from "../../src/api/compile-checkpoint.ts";
import { chooseWeightFormat, type WeightStorage } from "../../src/api/weight-dtype.ts";
import type { Backend, WeightRows } from "../../src/backends/backend.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { Random } from "../../src/conformance/random.ts";
import { seededRows } from "../../src/conformance/seeded-weights.ts";
import type { ChooseWeightFormat } from "../../src/graph/builder.ts";
import { sourceRectangle, type WeightSpec } from "../../src/graph/weight-spec.ts";
import { openProcessor } from "../../src/index.ts";
import { compileStages, stageWeights } from "../../src/runtime/compile-stages.ts";
import { openStages, type Stages } from "../../src/runtime/open-stages.ts";
import { widenBlocks } from "../../src/tensor/block-parts.ts";
import { type MadeBlockFormat, quantise } from "../../src/tensor/blocks.ts";
import type { WeightDType } from "../../src/tensor/dtype.ts";
import { toFloat32 } from "../../src/tensor/elements.ts";
import { isBlockFormat, isRoundedFormat, storageBytes } from "../../src/tensor/storage.ts";
import { goldenCases } from "../../test/golden/load.ts";
import { type ForcedText, greedyAnswer } from "./forced.ts";
import type { ReadText } from "./reading.ts";

/** How weights are stored: as the options of loading say, but for what is named here. */
export interface Storage extends WeightStorage, CacheStorage {
  /** By a part of a tensor's name. */
  readonly instead?: Readonly<Record<string, "q8" | "q4" | "bf16">>;
  /** Blocks are widened to f32, so that activations are not rounded: what the format itself costs. */
  readonly weightsOnly?: boolean;
}

export interface QualityModel {
  readonly name: string;
  /** What it reads by itself in pictures whose text is known, where there are such. */
  readonly read?: ((stages: Stages) => Promise<readonly ReadText[]>) | undefined;
  readonly texts: (f32: Stages) => Promise<readonly ForcedText[]>;
  readonly open: (backend: Backend, storage: Storage) => Promise<Stages>;
}

const MOST_TOKENS = 64;
const PROMPT = "Text Recognition:";

/** The demo reads pictures: each text is what it reads in f32. */
export async function demoModel(folder: string): Promise<QualityModel> {
  const processor = await openProcessor("examples/demo/checkpoint");
  const { checkpoint } = processor;
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".png"))
    .sort();
  const truth = truthOf(folder);
  const greedy = async (stages: Stages, file: string) => {
    const content = [
      { type: "image", image: join(folder, file) } as const,
      { type: "text", text: PROMPT } as const,
    ];
    const prompt = await processor.process([{ role: "user", content }]);
    const answer = await greedyAnswer(stages, prompt, MOST_TOKENS, checkpoint.generation.eosTokenIds);
    return { prompt, answer };
  };
  return {
    name: `demo, ${files.length} pictures`,
    texts: async (stages) => {
      const texts: ForcedText[] = [];
      for (const file of files) texts.push({ name: basename(file), ...(await greedy(stages, file)) });
      return texts;
    },
    read: truth
      ? async (stages) => {
          const found: ReadText[] = [];
          for (const [file, text] of truth) {
            const { answer } = await greedy(stages, file);
            found.push({
              truth: text,
              answer: processor.tokenizer.decode(answer, { skipSpecialTokens: true }),
            });
          }
          return found;
        }
      : undefined,
    open: (backend, storage) => openCheckpoint(backend, checkpoint, storage),
  };
}

/** What stands in each picture, where the folder says it. */
function truthOf(folder: string): Map<string, string> | null {
  const path = join(folder, "truth.jsonl");
  if (!existsSync(path)) return null;
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return new Map(lines.map((line) => JSON.parse(line)).map(({ file, text }) => [file, text]));
}

/** The demo goes on with characters that are none of its own, after a picture: nothing that it was trained for. */
export async function demoOnRandomTexts(folder: string, texts = 16, tokens = 64): Promise<QualityModel> {
  const demo = await demoModel(folder);
  const random = new Random("texts");
  return {
    ...demo,
    name: `demo, ${texts} random texts`,
    read: undefined,
    texts: async (stages) => {
      const read = await demo.texts(stages);
      const letters = () => Array.from({ length: tokens }, () => 32 + random.integer(95));
      return Array.from({ length: texts }, (_, index): ForcedText => {
        const { prompt } = read[index % read.length] as ForcedText;
        return { name: `${index}`, prompt, answer: letters() };
      });
    },
  };
}

type Checkpoint = Awaited<ReturnType<typeof openProcessor>>["checkpoint"];

/** The prompts that were recorded from transformers with a small checkpoint, and its answers. */
export async function goldenModel(name: string): Promise<QualityModel> {
  const cases = goldenCases(name);
  const { checkpoint } = await openProcessor(cases[0]?.checkpointDir as string);
  const texts = cases.map((golden): ForcedText => {
    const {
      inputIds,
      mmTokenTypeIds,
      ropeDelta,
      imageGridThw,
      videoGridThw,
      pixelValues,
      pixelValuesVideos,
    } = golden;
    const axis = (index: 0 | 1 | 2) => Int32Array.from(golden.positionIds[index] ?? []);
    return {
      name: golden.case,
      prompt: {
        inputIds,
        mmTokenTypeIds,
        positionIds: [axis(0), axis(1), axis(2)],
        ropeDelta,
        imageGridThw: imageGridThw as ForcedText["prompt"]["imageGridThw"],
        videoGridThw: videoGridThw as ForcedText["prompt"]["videoGridThw"],
        pixelValues: pixelValues?.data ?? null,
        pixelValuesVideos: pixelValuesVideos?.data ?? null,
      },
      answer: golden.greedyIds,
    };
  });
  return {
    name: `${name}, ${texts.length} golden prompts`,
    texts: async () => texts,
    open: (backend, storage) => openCheckpoint(backend, checkpoint, storage),
  };
}

function openCheckpoint(backend: Backend, checkpoint: Checkpoint, storage: Storage): Promise<Stages> {
  const choose = formats(chooseWeightFormat(checkpoint, storage), storage);
  const readRows = (specs: readonly WeightSpec[]) => resolveWeights(checkpoint, specs).weights;
  return open(backend, checkpoint.config, choose, readRows, storage);
}

export interface RandomSize {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly vocabSize: number;
}

/** Random weights and random text: what is said of them depends on the formats alone. */
export function randomModel(
  { hiddenSize, layers, vocabSize }: RandomSize,
  texts = 8,
  tokens = 64,
): QualityModel {
  const headDim = 64;
  const config: ModelConfig = {
    ...ocrConfig,
    tieWordEmbeddings: false,
    vision: { ...ocrConfig.vision, outHiddenSize: hiddenSize },
    text: {
      ...ocrConfig.text,
      vocabSize,
      hiddenSize,
      headDim,
      intermediateSize: 3 * hiddenSize,
      numHiddenLayers: layers,
      numAttentionHeads: hiddenSize / headDim,
      numKeyValueHeads: Math.max(1, hiddenSize / headDim / 4),
      rope: { ...ocrConfig.text.rope, rotaryDim: headDim, mropeSection: [8, 12, 12] },
    },
  };
  const random = new Random("texts");
  const ids = (count: number) => Array.from({ length: count }, () => 10 + random.integer(vocabSize - 10));
  const given = Array.from(
    { length: texts },
    (_, index): ForcedText => ({ name: `${index}`, prompt: { inputIds: ids(8) }, answer: ids(tokens) }),
  );
  return {
    name: `random, ${layers} layers of ${hiddenSize}, vocabulary ${vocabSize}`,
    texts: async () => given,
    open: (backend, storage) =>
      open(
        backend,
        config,
        formats(chooseWeightFormat({ tensorDType: () => "f32" }, storage), storage),
        (specs) => specs.map(seededTensors),
        storage,
      ),
  };
}

function formats(usual: ChooseWeightFormat, { instead = {} }: Storage): ChooseWeightFormat {
  return (tensors, cols) => {
    const name = Object.keys(instead).find((part) => tensors.some((tensor) => tensor.includes(part)));
    return (name === undefined ? undefined : instead[name]) ?? usual(tensors, cols);
  };
}

function open(
  backend: Backend,
  config: ModelConfig,
  choose: ChooseWeightFormat,
  readRows: (specs: readonly WeightSpec[]) => readonly WeightRows[],
  { weightsOnly = false, kvCacheDtype }: Storage,
): Promise<Stages> {
  const weightDType: ChooseWeightFormat = (tensors, cols) => {
    const format = choose(tensors, cols);
    return weightsOnly && isBlockFormat(format) ? "f32" : format;
  };
  const model = compileStages(backend, config, { weightDType, kvCacheDType: kvCacheDtype });
  const rows = readRows(stageWeights(model));
  return openStages(backend, model, weightsOnly ? rows.map((weight) => throughBlocks(weight, choose)) : rows);
}

/** The weight's values after they were blocks, where they are to be; those of a stack by its parts. */
function throughBlocks(weight: WeightRows, choose: ChooseWeightFormat): WeightRows {
  const { spec, rows, cols } = weight;
  if (spec.shape.length === 1) return weight;
  return {
    spec,
    dtype: "f32",
    rows,
    cols,
    async readRows(first, count, into) {
      const stored = new ArrayBuffer(storageBytes(weight.dtype, count, cols));
      await weight.readRows(first, count, new Uint8Array(stored));
      const read = weight.dtype === "f32" ? new Float32Array(stored) : new Uint16Array(stored);
      const values = new Float32Array(into.buffer, into.byteOffset, count * cols);
      values.set(toFloat32(weight.dtype as WeightDType, read));
      let start = 0;
      for (const source of spec.sources) {
        const end = start + sourceRectangle(source).rows.count;
        const format = choose([source.tensor], cols);
        const [from, to] = [Math.max(start, first) - first, Math.min(end, first + count) - first];
        if (from < to && isBlockFormat(format) && isRoundedFormat(format))
          roundToBlocks(format, values.subarray(from * cols, to * cols));
        start = end;
      }
    },
  };
}

function roundToBlocks(format: MadeBlockFormat, values: Float32Array): void {
  const blocks = new Uint8Array(storageBytes(format, 1, values.length));
  quantise(format, values, blocks);
  widenBlocks(format, blocks, 0, values.length, values, 0);
}

/** Seeded by tensor, so that a weight is the same whatever it is stacked with. */
function seededTensors(spec: WeightSpec): WeightRows {
  const parts = spec.sources.map(({ tensor, shape: [rows = 1, ...rest] }) => {
    const cols = rest.reduce((product, size) => product * size, 1);
    return seededRows({ ...spec, name: tensor, shape: rest.length === 0 ? [rows] : [rows, cols] });
  });
  const [{ cols } = { cols: 1 }] = parts;
  return {
    spec,
    dtype: "f32",
    rows: parts.reduce((sum, part) => sum + part.rows, 0),
    cols,
    async readRows(first, count, into) {
      const rowBytes = 4 * cols;
      let start = 0;
      for (const part of parts) {
        const [from, to] = [Math.max(first, start), Math.min(first + count, start + part.rows)];
        const target = into.subarray(
          (from - first) * rowBytes,
          Math.max(from, to) * rowBytes - first * rowBytes,
        );
        if (from < to) await part.readRows(from - start, to - from, target);
        start += part.rows;
      }
    },
  };
}

/** Of a folder made by `examples/demo/train/evaluate.py render`, or the four pictures in the repository. */
export function demoPictures(folder: string | undefined): string {
  const found = folder ?? "examples/demo/pictures";
  if (!existsSync(found)) throw new Error(`There is no folder ${found}.`);
  return found;
}
