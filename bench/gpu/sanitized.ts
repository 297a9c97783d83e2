/**
 * Some cases of every op and a small model on the CUDA backend, for NVIDIA's compute-sanitizer, under which everything
 * takes a hundred times as long: `compute-sanitizer node sanitized.js [--cases 4] [--models no]`. Results are not
 * judged here.
 */
import { parseArgs } from "node:util";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { FLOAT_BLOCK_FORMATS, type OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { runModelConformance } from "../../src/conformance/models.ts";
import { LOCAL_OPS } from "../../src/graph/ops.ts";
import { BLOCK_FORMATS, isGroupedFormat, isRoundedFormat } from "../../src/tensor/storage.ts";

const { values: flags } = parseArgs({
  options: {
    cases: { type: "string", default: "4" },
    models: { type: "string", default: "yes" },
    "cuda-addon": { type: "string" },
  },
});
let count = 0;
for (const activations of ["bf16", "f32"] as const) {
  const backend = createCudaBackend({ activations, addonPath: flags["cuda-addon"] });
  const engine = await backend.open();
  for (const op of LOCAL_OPS) {
    // What there are kernels for.
    const cases = OP_CASES[op]().filter(({ cache = activations }) => cache === activations);
    const most = Number(flags.cases);
    const plain = spread(
      cases.filter(({ weight }) => !isGroupedFormat(weight)),
      most,
    );
    const inBlocks = [...BLOCK_FORMATS.filter(isRoundedFormat), ...FLOAT_BLOCK_FORMATS].flatMap((format) =>
      spread(
        cases.filter(({ weight }) => weight === format),
        Math.ceil(most / 2),
      ),
    );
    for (const test of [...plain, ...inBlocks]) {
      await runCase(engine, test, activations);
      count += 1;
    }
  }
  engine.dispose();
  if (flags.models === "yes") await runModelConformance(backend, { configs: { glm_ocr: ocrConfig } });
}
console.log(`${count} cases ran`);

/** From first to last, evenly. */
function spread(cases: readonly OpCase[], most: number): OpCase[] {
  if (cases.length <= most) return [...cases];
  return Array.from({ length: most }, (_, index) => {
    const position = most === 1 ? cases.length - 1 : Math.round((index * (cases.length - 1)) / (most - 1));
    return cases[position] as OpCase;
  });
}
