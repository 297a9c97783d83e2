/** Compiling the programs of the released models, which loading a model and a set of adapters wait for. */
import { compileGraph } from "../../src/compiler/compile.ts";
import { parseModelConfig } from "../../src/config/model-config.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import type { GraphOptions } from "../../src/graph/builder.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { buildVisionTower } from "../../src/models/vision-tower.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import { glm4v, glm4vMoe, glmOcr } from "../../test/config/released.ts";
import { fastest, row } from "../kernels.ts";

const graph: Omit<GraphOptions, "name"> = { activationDType: "bf16", weightDType: () => "bf16" };

console.log(row("processor milliseconds", "build", "compile", "encode", "steps"));
for (const [name, released] of Object.entries({ glm4v, glm4vMoe, glmOcr })) {
  const config: ModelConfig = parseModelConfig(released);
  for (const [stage, build] of Object.entries({
    vision: () => buildVisionTower(config.vision, graph),
    decoder: () => buildDecoder(config, { ...graph, pageSize: 16 }),
  })) {
    const built = build();
    const program = compileGraph(built);
    const seconds = [
      await fastest("build", build, 5),
      await fastest("compile", () => compileGraph(built), 5),
      await fastest("encode", () => encodeProgram(program), 5),
    ];
    const steps = program.instructions.length;
    console.log(row(`${name} ${stage}`, ...seconds.map((value) => 1000 * value), String(steps)));
  }
}
