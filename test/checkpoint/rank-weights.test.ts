/** What a rank stores of a checkpoint, however that is quantised, is to the bit what one device stores of it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseWeightFormat, type WeightStorage } from "../../src/api/weight-dtype.ts";
import { ReferenceWeight } from "../../src/backends/reference/memory.ts";
import { readWeight } from "../../src/backends/reference/weights.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { GlimtError } from "../../src/errors.ts";
import { sourceRectangle, type WeightSpec } from "../../src/graph/weight-spec.ts";
import { modelStages } from "../../src/models/stages.ts";
import { loadedPrograms } from "../../src/program/weights.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";
import { openFixture, quantisedFixtures } from "./quantised-fixtures.ts";

/** The formats that stood in cut columns, over all checkpoints. */
const cutFormats = new Set<string>();
let refused = 0;

for (const fixture of quantisedFixtures) {
  test(`${fixture.name} (${fixture.base})`, async () => {
    const checkpoint = await openCheckpoint(await openFixture(fixture));
    for (const storage of [{}, { dtype: "bf16" }] as const) await checkParts(checkpoint, storage);
  });
}

for (const name of goldenCheckpoints()) {
  test(`${name}, rounded to blocks when it is loaded`, async () => {
    const files = await openDirectory(goldenCases(name)[0]?.checkpointDir as string);
    const checkpoint = await openCheckpoint(files);
    for (const dtype of ["q8", "q4"] as const) await checkParts(checkpoint, { dtype });
  });
}

test("columns of blocks were among them, and not all was refused", () => {
  for (const format of ["bf16", "q8", "q4"]) assert.ok(cutFormats.has(format), format);
  assert.ok(refused < 2 * quantisedFixtures.length, `${refused} were refused`);
});

/** Of two ranks. What is refused is in blocks that two ranks can not share. */
async function checkParts(checkpoint: Checkpoint, storage: WeightStorage): Promise<void> {
  const weightDType = chooseWeightFormat(checkpoint, storage);
  for (const { graph } of modelStages(checkpoint.config, {
    activationDType: "f32",
    weightDType,
    pageSize: 16,
  })) {
    try {
      const program = compileGraph(graph, { passes: [], partition: { tensor: 2, cuts: [] } });
      const whole = await storedWeights(checkpoint, program.weights);
      const parts = await storedWeights(
        checkpoint,
        loadedPrograms(program).flatMap(({ weights }) => weights),
      );
      for (const part of parts) compareWithWhole(part, whole);
    } catch (error) {
      if (!(error instanceof GlimtError && error.code === "OPTION_INVALID")) throw error;
      assert.match(error.message, /blocks of|numHeads 3/);
      refused++;
    }
  }
}

interface Stored {
  readonly spec: WeightSpec;
  readonly values: Float32Array;
}

async function storedWeights(checkpoint: Checkpoint, specs: readonly WeightSpec[]): Promise<Stored[]> {
  const stored: Stored[] = [];
  for (const rows of resolveWeights(checkpoint, specs).weights) {
    const { spec } = rows;
    const weight = new ReferenceWeight(spec.dtype, rows.rows, rows.cols);
    await readWeight(rows, weight);
    const values = new Float32Array(rows.rows * rows.cols);
    weight.elements.read(0, values.length, values, 0);
    stored.push({ spec, values });
  }
  return stored;
}

function compareWithWhole({ spec, values }: Stored, whole: readonly Stored[]): void {
  const width = spec.shape[1] ?? 1;
  let start = 0;
  for (const source of spec.sources) {
    const { rows, cols, tensorCols } = sourceRectangle(source);
    const all = whole.find(({ spec: { sources } }) => sources.some(({ tensor }) => tensor === source.tensor));
    assert.ok(all, source.tensor);
    assert.is(all.spec.dtype, spec.dtype, spec.name);
    const place = rowOf(all.spec, source.tensor);
    for (let row = 0; row < rows.count; row++) {
      const from = (place + rows.first + row) * tensorCols + cols.first;
      const expected = all.values.subarray(from, from + cols.count);
      const found = values.subarray((start + row) * width, (start + row) * width + cols.count);
      assert.equal(found, expected, `${spec.name}, row ${row}`);
    }
    if (cols.count < tensorCols) cutFormats.add(spec.dtype);
    start += rows.count;
  }
}

/** Where a tensor begins in a weight that is made of several. */
function rowOf({ sources }: WeightSpec, tensor: string): number {
  const before = sources.slice(
    0,
    sources.findIndex((source) => source.tensor === tensor),
  );
  return before.reduce((sum, source) => sum + sourceRectangle(source).rows.count, 0);
}

test.run();
