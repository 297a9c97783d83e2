/**
 * Random weights as fast as memory is copied: every weight is cut out of one block of normal values, scaled so that
 * activations neither vanish nor explode. Only speed may be judged by them.
 */
import type { WeightRows } from "../../src/backends/backend.ts";
import { fp8Rows } from "../../src/conformance/fp8-rows.ts";
import { Random } from "../../src/conformance/random.ts";
import { randomBlocks } from "../../src/conformance/random-blocks.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import type { WeightDType } from "../../src/tensor/dtype.ts";
import { fromFloat32 } from "../../src/tensor/elements.ts";
import {
  blockCols,
  type GroupedFormat,
  isBlockFormat,
  isGroupedFormat,
  isRoundedFormat,
  storageBytes,
} from "../../src/tensor/storage.ts";

/** Elements of the block. Prime, so that the rows of no matrix repeat within it. */
const BLOCK = 1048573;

/** Blocks, where a weight is in a format of these that nothing is rounded to. Prime too. */
const BLOCKS = 4093;

/**
 * Rows of any weight, stored as its spec asks; in bf16, as checkpoints are, where that is a format of blocks that they are
 * rounded to.
 */
export function blockWeights(): (spec: WeightSpec) => WeightRows {
  const random = new Random("block");
  const normals = Float32Array.from({ length: BLOCK }, () => random.normal());
  const blocks = new Map<string, Uint8Array>();

  function block(mean: number, deviation: number, dtype: WeightDType): Uint8Array {
    const key = `${mean} ${deviation} ${dtype}`;
    let bytes = blocks.get(key);
    if (!bytes) {
      const values = fromFloat32(
        dtype,
        normals.map((value) => mean + deviation * value),
      );
      bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      blocks.set(key, bytes);
    }
    return bytes;
  }

  const ofCheckpoints = new Map<string, Uint8Array>();

  function checkpointBlocks(format: GroupedFormat, cols: number): Uint8Array {
    const key = `${format} ${cols}`;
    const size = BLOCKS * blockCols(format);
    const make = () =>
      format === "fp8"
        ? fp8Rows(normals.subarray(0, size).map((value) => value * cols ** -0.5))
        : randomBlocks(format, key, 1, size);
    const bytes = ofCheckpoints.get(key) ?? make();
    ofCheckpoints.set(key, bytes);
    return bytes;
  }

  /** `wanted` bytes of `source`, from `start` on and round and round. */
  function cut(source: Uint8Array, start: number, wanted: number, into: Uint8Array): void {
    let from = start;
    for (let done = 0; done < wanted; from = 0) {
      const piece = Math.min(wanted - done, source.length - from);
      into.set(source.subarray(from, from + piece), done);
      done += piece;
    }
  }

  return (spec) => {
    const { name, shape } = spec;
    const [rows = 1, ...rest] = shape;
    const cols = rest.reduce((product, size) => product * size, 1);
    if (isGroupedFormat(spec.dtype) && !isRoundedFormat(spec.dtype)) {
      const format = spec.dtype;
      const source = checkpointBlocks(format, cols);
      return {
        spec,
        dtype: format,
        rows,
        cols,
        async readRows(first, count, into) {
          const start = storageBytes(format, first, cols) % source.length;
          cut(source, start, storageBytes(format, count, cols), into);
        },
      };
    }
    const dtype = isBlockFormat(spec.dtype) ? "bf16" : spec.dtype;
    const isVector = shape.length === 1;
    const mean = isVector && !name.endsWith("bias") ? 1 : 0;
    const source = block(mean, isVector ? 0.1 : cols ** -0.5, dtype);
    const start = new Random(name).integer(BLOCK);
    return {
      spec,
      dtype,
      rows,
      cols,
      async readRows(first, count, into) {
        const from = storageBytes(dtype, 1, (start + first * cols) % BLOCK);
        cut(source, from, storageBytes(dtype, count, cols), into);
      },
    };
  };
}
