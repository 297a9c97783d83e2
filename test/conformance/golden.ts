/** Op goldens (test/golden/make_ops.py) as conformance cases. */
import { type OpCase, opCase } from "../../src/conformance/case.ts";
import type { CaseRun } from "../../src/conformance/harness.ts";
import { fixed } from "../../src/conformance/operands.ts";
import type { LocalOp } from "../../src/graph/ops.ts";
import golden from "../golden/data/ops.json";

interface PackedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian, base64. */
  readonly data: string;
}

export interface GoldenCase {
  readonly test: OpCase;
  readonly expected: CaseRun;
}

export const GOLDEN_CASES: readonly GoldenCase[] = golden.cases.map(
  ({ op, name, attrs, inputs, outputs }) => ({
    test: opCase(op as LocalOp, {
      fields: { golden: name },
      attrs,
      operands: mapTensors(inputs, (tensor) => fixed(tensor.shape, unpack(tensor))),
    }),
    expected: { outputs: mapTensors(outputs, unpack), strayWrites: [] },
  }),
);

function mapTensors<T>(
  tensors: Readonly<Record<string, PackedTensor | undefined>>,
  convert: (tensor: PackedTensor) => T,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, convert(tensor as PackedTensor)]),
  );
}

function unpack({ dtype, data }: PackedTensor): Float32Array | Int32Array {
  const { buffer } = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return dtype === "i32" ? new Int32Array(buffer) : new Float32Array(buffer);
}
