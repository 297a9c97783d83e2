/**
 * Where tensors lie in safetensors files that are to be written: headers first, each file of a size that file systems and
 * downloads bear, every tensor at a multiple of its element's size, which torch asks for.
 */
import { ELEMENT_BYTES, type StoredDType } from "../safetensors.ts";

/** A tensor of a file that is to be written. */
export interface WrittenTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
}

export interface WrittenFile {
  readonly name: string;
  /** The length of the header, the header, and what fills it up. */
  readonly head: Uint8Array;
  readonly bytes: number;
}

export interface WrittenPlace {
  readonly file: string;
  /** Of its first byte in the file. */
  readonly offset: number;
}

export interface WeightsLayout {
  readonly files: readonly WrittenFile[];
  /** By name. */
  readonly places: ReadonlyMap<string, WrittenPlace>;
  /** model.safetensors.index.json, where there are several files. */
  readonly index: string | null;
  /** Of all files. */
  readonly bytes: number;
}

/** As transformers cuts checkpoints. */
export const SHARD_BYTES = 5e9;
/** The largest element, and what a header is filled up to. */
const ALIGNMENT = 8;

/**
 * @param groups tensors that belong together, in the order in which they are written: they lie side by side in one file,
 * the ones with the larger elements first, as far as the elements' sizes allow it
 * @param metadata of every header
 */
export function layoutWeights(
  groups: readonly (readonly WrittenTensor[])[],
  metadata: Readonly<Record<string, string>>,
  shardBytes = SHARD_BYTES,
): WeightsLayout {
  const shards = shardsOf(groups, shardBytes);
  const names = shards.map((_, shard) => fileName(shard, shards.length));
  const places = new Map<string, WrittenPlace>();
  const files = shards.map((shard, index): WrittenFile => {
    const file = names[index] as string;
    const tensors = aligned(shard);
    const entries: Record<string, unknown> = { __metadata__: metadata };
    const offsets: number[] = [];
    let end = 0;
    for (const { name, dtype, shape, bytes } of tensors) {
      offsets.push(end);
      entries[name] = { dtype, shape, data_offsets: [end, end + bytes] };
      end += bytes;
    }
    const head = headOf(entries);
    for (const [at, { name }] of tensors.entries()) {
      places.set(name, { file, offset: head.length + (offsets[at] as number) });
    }
    return { name: file, head, bytes: head.length + end };
  });
  const index = files.length > 1 ? indexText(shards, names) : null;
  return { files, places, index, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

interface Sized extends WrittenTensor {
  readonly bytes: number;
}

type Group = readonly Sized[];

/** Groups in their order, each file as full as it may be; what is larger than a file has one of its own. */
function shardsOf(groups: readonly (readonly WrittenTensor[])[], shardBytes: number): Group[][] {
  const shards: Group[][] = [[]];
  let filled = 0;
  for (const group of groups) {
    const sized = group.map((tensor) => ({ ...tensor, bytes: bytesOf(tensor) }));
    const bytes = sized.reduce((sum, tensor) => sum + tensor.bytes, 0);
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(sized);
    filled += bytes;
  }
  return shards;
}

/** Groups keep their order; a tensor that is no multiple of 8 bytes long goes behind all that are. */
function aligned(groups: readonly Group[]): Sized[] {
  const whole: Sized[] = [];
  const odd: Sized[] = [];
  for (const tensor of groups.flat()) (tensor.bytes % ALIGNMENT === 0 ? whole : odd).push(tensor);
  return [...whole, ...odd.sort((a, b) => ELEMENT_BYTES[b.dtype] - ELEMENT_BYTES[a.dtype])];
}

function bytesOf({ dtype, shape }: WrittenTensor): number {
  return shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype]);
}

function headOf(entries: Readonly<Record<string, unknown>>): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(entries));
  const padded = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const head = new Uint8Array(ALIGNMENT + padded).fill(" ".charCodeAt(0));
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(text, ALIGNMENT);
  return head;
}

function fileName(shard: number, shards: number): string {
  const number = (value: number) => String(value).padStart(5, "0");
  return shards === 1 ? "model.safetensors" : `model-${number(shard + 1)}-of-${number(shards)}.safetensors`;
}

function indexText(shards: readonly (readonly Group[])[], names: readonly string[]): string {
  const entries = shards.flatMap((groups, shard) =>
    groups.flat().map(({ name }) => [name, names[shard] as string] as const),
  );
  const total = shards.flat(2).reduce((sum, { bytes }) => sum + bytes, 0);
  const json = { metadata: { total_size: total }, weight_map: Object.fromEntries(entries) };
  return `${JSON.stringify(json, null, 2)}\n`;
}
