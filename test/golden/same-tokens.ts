/** The token side of what the processor gives, held against a recorded case. */
import * as assert from "uvu/assert";
import type { ProcessedInputs } from "../../src/index.ts";
import type { GoldenCase } from "./load.ts";

const FIELDS = [
  "promptText",
  "inputIds",
  "mmTokenTypeIds",
  "imageGridThw",
  "videoGridThw",
  "ropeDelta",
] as const;

export function assertSameTokens(
  inputs: ProcessedInputs,
  golden: Pick<GoldenCase, (typeof FIELDS)[number] | "name" | "positionIds">,
): void {
  for (const field of FIELDS) assert.equal(inputs[field], golden[field], `${golden.name}: ${field}`);
  const positions = inputs.positionIds.map((axis) => [...axis]);
  assert.equal(positions, golden.positionIds, `${golden.name}: positionIds`);
}
