/** Compiling the programs of the released models, which loading a model and a set of adapters wait for. */

import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { compileGraph, DEFAULT_PASSES } from "../../src/compiler/compile.ts";
import {
  type ActiveAdapter,
  applyAdapters,
  linearModules,
} from "../../src/compiler/passes/apply-adapters.ts";
import { parseModelConfig } from "../../src/config/model-config.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import type { GraphOptions } from "../../src/graph/builder.ts";
import type { Graph } from "../../src/graph/graph.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { buildVisionTower } from "../../src/models/vision-tower.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import { glm4v, glm4vMoe, glmOcr } from "../../test/config/released.ts";
import { fastest, row } from "../kernels.ts";

const graph: Omit<GraphOptions, "name"> = { activationDType: "bf16", weightDType: () => "bf16" };

console.log(row("processor milliseconds", "build", "compile", "adapted", "encode", "steps"));
for (const [name, released] of Object.entries({ glm4v, glm4vMoe, glmOcr })) {
  const config: ModelConfig = parseModelConfig(released);
  for (const [stage, build] of Object.entries({
    vision: () => buildVisionTower(config.vision, graph),
    decoder: () => buildDecoder(config, { ...graph, pageSize: 16 }),
  })) {
    const built = build();
    const program = compileGraph(built);
    const adapted = { passes: [applyAdapters([everywhere(built)]), ...DEFAULT_PASSES] };
    const seconds = [
      await fastest("build", build, 5),
      await fastest("compile", () => compileGraph(built), 5),
      await fastest("adapted", () => compileGraph(built, adapted), 5),
      await fastest("encode", () => encodeProgram(program), 5),
    ];
    const steps = program.instructions.length;
    console.log(row(`${name} ${stage}`, ...seconds.map((value) => 1000 * value), String(steps)));
  }
}

/** An adapter of rank 8 that changes every linear. */
function everywhere(built: Graph): ActiveAdapter {
  const modules = new Map(
    [...linearModules(built)].map(([path, { shape }]) => {
      const [rows = 0, ...columns] = shape;
      const tensor = (name: string, of: readonly number[]) => ({ name, shape: of }) as StoredWeight;
      const [a, b] = [tensor("a", [8, ...columns]), tensor("b", [rows, 8, ...columns.slice(1).map(() => 1)])];
      return [path, { path, rank: 8, scaling: 2, a, b }] as const;
    }),
  );
  return { id: "everywhere", scale: 1, adapter: { modules }, dtype: "bf16" };
}
