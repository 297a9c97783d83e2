/** The stages of a model, compiled in a row. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { seededRows } from "../../src/conformance/seeded-weights.ts";
import { compileStages, stagePrograms, stageWeights } from "../../src/runtime/compile-stages.ts";
import { openStages } from "../../src/runtime/open-stages.ts";

const model = compileStages(referenceBackend, ocrConfig, { weightDType: () => "bf16" });

test("every stage is a graph and a program of its name", () => {
  for (const { name, graph, program } of model.stages) {
    assert.is(graph.name, name);
    assert.is(program.name, name);
    assert.is(stagePrograms(model)[name], program);
  }
});

test("a weight that several stages ask for is asked for once", () => {
  const [vision, decoder] = model.stages as [(typeof model.stages)[0], (typeof model.stages)[0]];
  const both = stageWeights(model);
  assert.equal(both, [...vision.program.weights, ...decoder.program.weights]);
  assert.equal(stageWeights({ stages: [vision, decoder, decoder] }), both);
});

test("stages on a device keep the programs that were loaded, for plans and sets of adapters", async () => {
  const rows = stageWeights(model).map(seededRows);
  const opened = await openStages(referenceBackend, model, rows);
  assert.is(opened.stages, model.stages);
  assert.is(opened.weights.size, rows.length);
  opened.engine.dispose();
});

test.run();
