/** The MTP layer of golden checkpoints on a backend, beside its transcription in PyTorch (test/golden/make_mtp.py). */
import { cp, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { type PositionIds, textPositions } from "../../src/mrope/positions.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import type { CompiledStage } from "../../src/runtime/compile-stages.ts";
import { answerOf, type SequenceSlice } from "../../src/runtime/decoder.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import type { Stages } from "../../src/runtime/open-stages.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";
import { toFloat32 } from "../../src/tensor/elements.ts";
import { type GoldenCase, goldenCase, goldenDataDir } from "../golden/load.ts";
import { openCheckpointStages } from "./checkpoint-stages.ts";
import { largestDifference } from "./difference.ts";

interface Recorded {
  /** Of the layer behind the prompt's last row and the four rows behind it. */
  readonly forcedLogits: string;
  readonly drafts: readonly number[];
  readonly draftLogits: string;
}

const recorded = JSON.parse(await readFile(join(goldenDataDir, "mtp.json"), "utf8"));
assert.is(recorded.version, 1, "remake it with `python test/golden/make_mtp.py`");
export const MTP_CASES: readonly string[] = Object.keys(recorded.cases);

/** The checkpoint's folder; where it has no layer of its own, a copy beside the one that is for it, and what removes it. */
async function folderOf(checkpoint: string): Promise<[string, () => Promise<void>]> {
  const own = join(goldenDataDir, checkpoint);
  if (checkpoint !== "glm4v_moe-tiny") return [own, async () => {}];
  const folder = await mkdtemp(join(tmpdir(), "glimt-mtp-"));
  await cp(own, folder, { recursive: true });
  const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  await rename(join(folder, "model.safetensors"), join(folder, one));
  await cp(join(goldenDataDir, "mtp", `${checkpoint}.safetensors`), join(folder, two));
  const files = await Promise.all(
    [one, two].map(async (name) => [name, await tensorNames(join(folder, name))]),
  );
  const map = Object.fromEntries(
    files.flatMap(([name, tensors]) => [...(tensors as string[])].map((t) => [t, name])),
  );
  await writeFile(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: map }),
  );
  return [folder, () => rm(folder, { recursive: true })];
}

async function tensorNames(path: string): Promise<string[]> {
  const bytes = await readFile(path);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString("utf8"));
  return Object.keys(header).filter((name) => name !== "__metadata__");
}

/** Every reading of the case, in chunks and with drafts that are right and wrong, has the recorded logits. @returns the largest difference */
export async function checkMtpCase(
  backend: Backend,
  name: string,
  chunks: readonly number[],
  tolerance: number,
): Promise<number> {
  const [checkpoint, caseName] = name.split("/") as [string, string];
  const golden = goldenCase(checkpoint, caseName);
  const { forcedLogits, drafts, draftLogits } = recorded.cases[name] as Recorded;
  const [folder, remove] = await folderOf(checkpoint);
  const stages = await openCheckpointStages(backend, await openCheckpoint(await openDirectory(folder)), {
    storage: { mtp: true },
  });
  const vocabSize = stages.config.text.vocabSize;
  // Guesses have the room of empty pages alone.
  stages.pool.reserve(32);
  const forced = rowsOf(forcedLogits, vocabSize);
  const layer = watch(stages);
  let worst = 0;
  const near = (found: readonly Float32Array[], expected: readonly Float32Array[], what: string) => {
    assert.is(found.length, expected.length, `${name}: ${what}`);
    for (const [row, logits] of expected.entries()) {
      const difference = largestDifference(found[row] as Float32Array, logits);
      worst = Math.max(worst, difference);
      assert.ok(difference <= tolerance, `${name}: ${what}: row ${row} differs by ${difference}`);
    }
  };
  const { imageGridThw, pixelValues, greedyIds, ropeDelta, inputIds } = golden;
  const items = pixelValues ? [{ gridThw: imageGridThw[0] as GridThw, pixelValues: pixelValues.data }] : [];
  const range = items.length > 0 ? await stages.encoder.encode(items) : null;
  for (const chunk of chunks) {
    const sequence = new Sequence(stages.pool);
    const ask = async (slice: Omit<SequenceSlice, "sequence">) => {
      const answer = answerOf((await stages.decoder.forward([{ sequence, ...slice }]))[0]);
      return { ...answer, logits: layer.splice(0) };
    };
    for (let start = 0; start < inputIds.length; start += chunk) {
      const end = Math.min(start + chunk, inputIds.length);
      const isLast = end === inputIds.length;
      const answer = await ask({
        inputIds: inputIds.slice(start, end),
        positionIds: golden.positionIds.map((axis) => Int32Array.from(axis.slice(start, end))) as PositionIds,
        features: features(golden, start, end, range?.firstRow ?? 0),
        ...(isLast && { sampling: [GREEDY] }),
        drafting: {
          nextId: inputIds[end],
          features: features(golden, start + 1, end + 1, range?.firstRow ?? 0),
          most: isLast ? drafts.length : 0,
          sampling: isLast ? drafts.map(() => GREEDY) : [],
        },
      });
      if (!isLast) continue;
      near(answer.logits, rowsOf(draftLogits, vocabSize), `drafts behind chunks of ${chunk}`);
      near(answer.logits.slice(0, 1), forced.slice(0, 1), "the prompt's last row");
      assert.equal(answer.drafts, drafts, name);
    }
    const read = async (ids: readonly number[]) => {
      const answer = await ask({
        inputIds: ids,
        positionIds: textPositions(sequence.length, ids.length, ropeDelta),
        sampling: ids.map(() => GREEDY),
        drafting: { most: 1, sampling: ids.map(() => GREEDY) },
      });
      return answer.logits;
    };
    const [first, second, third, fourth] = greedyIds as [number, number, number, number];
    const wrong = (first + 1) % vocabSize;
    near(await read([first, second === wrong ? first : wrong, wrong]), forced.slice(1, 2), "a wrong draft");
    sequence.length = inputIds.length;
    near(
      await read([first, second, third === wrong ? first : wrong]),
      forced.slice(2, 3),
      "a right and a wrong one",
    );
    sequence.length = inputIds.length + 2;
    near(await read([third]), forced.slice(3, 4), "no draft");
    near(await read([fourth]), forced.slice(4, 5), "no draft");
    sequence.release();
  }
  range?.release();
  stages.engine.dispose();
  await remove();
  return worst;
}

/** Logits of drafts, as they come: the program that drafts is run with them among its outputs. */
function watch(stages: Stages): Float32Array[] {
  const { engine, drafting, config, compile, weights } = stages;
  const { graph } = stages.stages.find(({ name }) => name === "drafting") as CompiledStage;
  // The first chooses the model's own tokens.
  const [, ...samples] = graph.nodes.filter(({ op }) => op === "sample");
  const shown = samples.map(({ inputs }, index) => [`logits.${index + 1}`, inputs.logits as number] as const);
  const outputs = { ...graph.outputs, ...Object.fromEntries(shown) };
  const executable = engine.load(compileGraph({ ...graph, outputs }, compile), weights);
  const { vocabSize } = config.text;
  const tensors = shown.map(
    ([name]) => [name, engine.allocate(engine.backend.activationDType, 4, vocabSize)] as const,
  );
  const found: Float32Array[] = [];
  const bind = engine.bind.bind(engine);
  engine.bind = (bound, residents) => bind(bound === drafting ? executable : bound, residents);
  const run = engine.run.bind(engine);
  engine.run = async (asked, { symbols, buffers }, options) => {
    if (asked !== drafting) return run(asked, { symbols, buffers }, options);
    await run(executable, { symbols, buffers: { ...buffers, ...Object.fromEntries(tensors) } }, options);
    for (const [index, [, tensor]] of tensors.entries()) {
      const rows = symbols[`drafts.${index + 1}`] as number;
      if (rows === 0) continue;
      const values = toFloat32(tensor.dtype, await engine.read(tensor, 0, rows));
      for (let row = 0; row < rows; row++) found.push(values.slice(row * vocabSize, (row + 1) * vocabSize));
    }
  };
  return found;
}

function rowsOf(text: string, vocabSize: number): Float32Array[] {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  const values = new Float32Array(bytes.buffer);
  return Array.from({ length: values.length / vocabSize }, (_, row) =>
    values.slice(row * vocabSize, (row + 1) * vocabSize),
  );
}

function features({ mmTokenTypeIds }: GoldenCase, start: number, end: number, firstRow: number) {
  const before = mmTokenTypeIds.slice(0, start).filter((type) => type > 0).length;
  const types = mmTokenTypeIds.slice(start, end);
  const rows = Int32Array.from([...types.keys()].filter((row) => (types[row] as number) > 0));
  return rows.length === 0 ? undefined : { sources: rows.map((_, index) => firstRow + before + index), rows };
}
