/** Small checkpoints in memory. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import type { CheckpointFiles } from "../../src/checkpoint/files.ts";
import { GlimtError } from "../../src/errors.ts";

export interface TensorFixture {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export interface SafetensorsOverrides {
  /** Replaces the header's JSON text. */
  readonly header?: string | ((header: Record<string, unknown>) => unknown);
  /** Replaces the header's length field. */
  readonly headerLength?: number;
}

/** The bytes of a safetensors file; `overrides` make it lie. */
export function safetensors(
  tensors: Readonly<Record<string, TensorFixture>>,
  { header, headerLength }: SafetensorsOverrides = {},
): Uint8Array<ArrayBuffer> {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let position = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    entries[name] = { dtype, shape, data_offsets: [position, position + data.length] };
    position += data.length;
  }
  const json = typeof header === "string" ? header : JSON.stringify(header ? header(entries) : entries);
  const head = new TextEncoder().encode(json);
  const file = new Uint8Array(8 + head.length + position);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength ?? head.length), true);
  file.set(head, 8);
  let at = 8 + head.length;
  for (const { data } of Object.values(tensors)) {
    file.set(data, at);
    at += data.length;
  }
  return file;
}

export function f32(shape: readonly number[], values: readonly number[]): TensorFixture {
  return { dtype: "F32", shape, data: new Uint8Array(new Float32Array(values).buffer) };
}

/** 16-bit patterns as they lie in the file. */
export function half(
  dtype: "BF16" | "F16",
  shape: readonly number[],
  patterns: readonly number[],
): TensorFixture {
  return { dtype, shape, data: new Uint8Array(new Uint16Array(patterns).buffer) };
}

export type MemoryFiles = Map<string, Uint8Array<ArrayBuffer> | string>;

/** The files of a checkpoint directory of the repository, to be changed before use. */
export function directoryInMemory(directory: string): MemoryFiles {
  const names = readdirSync(directory).filter((name) => /\.(json|jinja|safetensors)$/.test(name));
  return new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(directory, name)))]));
}

export function asFiles(files: MemoryFiles): CheckpointFiles {
  return blobFiles(new Map([...files].map(([name, content]) => [name, new Blob([content])])), "memory");
}

export async function failure(run: () => unknown): Promise<GlimtError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("No error was thrown.");
}
