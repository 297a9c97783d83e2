/** The quantised versions of golden checkpoints (test/golden/make_quantised.py), in memory. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import { asFiles, directoryInMemory, type MemoryFiles, safetensors, type TensorFixture } from "./fixtures.ts";

export interface QuantisedFixture {
  readonly name: string;
  readonly base: string;
  readonly mlx: boolean;
  /** What it adds to config.json. */
  readonly config: Record<string, unknown>;
  /** quantize_config.json, where the configuration is there. */
  readonly separateConfig: Record<string, unknown> | null;
  /** Of the little-endian float32 values of each quantised weight. */
  readonly sha256: Readonly<Record<string, string>>;
  readonly greedyIds: number[];
  /** Base64. */
  readonly lastLogits: string;
}

const DATA = "test/golden/data";

export const quantisedFixtures: readonly QuantisedFixture[] = JSON.parse(
  readFileSync(join(DATA, "quantised.json"), "utf8"),
);

export function quantisedFixture(name: string): QuantisedFixture {
  const found = quantisedFixtures.find((fixture) => fixture.name === name);
  if (!found) throw new Error(`no quantised fixture ${name}: remake them with test/golden/make_quantised.py`);
  return found;
}

export type Tensors = Map<string, TensorFixture>;

async function tensorsOf(directory: string, isMine: (file: string) => boolean): Promise<Tensors> {
  const files = await openDirectory(directory);
  const tensors: Tensors = new Map();
  for (const [file, content] of directoryInMemory(directory)) {
    if (!file.endsWith(".safetensors") || !isMine(file) || typeof content === "string") continue;
    for (const found of await readSafetensorsHeader(files, file, content.length)) {
      const { name, dtype, shape, offset, bytes } = found;
      tensors.set(name, { dtype, shape, data: content.slice(offset, offset + bytes) });
    }
  }
  return tensors;
}

/** The base's tensors with the quantised ones in place of those that they stand for. */
export async function quantisedTensors({ name, base, mlx, sha256 }: QuantisedFixture): Promise<Tensors> {
  const tensors: Tensors = new Map();
  for (const [key, tensor] of await tensorsOf(join(DATA, base), () => true)) {
    if (key in sha256) continue;
    tensors.set(mlx ? mlxName(key) : key, mlx ? channelsLast(tensor) : tensor);
  }
  const own = await tensorsOf(join(DATA, "quantised"), (file) => file === `${name}.safetensors`);
  return new Map([...tensors, ...own]);
}

function mlxName(name: string): string {
  return name
    .replace(/^model\.visual\./, "vision_tower.")
    .replace(/^model\.language_model\./, "language_model.model.")
    .replace(/^lm_head\./, "language_model.lm_head.");
}

/** Of the kernel of a convolution; other tensors stay. */
function channelsLast(tensor: TensorFixture): TensorFixture {
  const [out = 1, channels = 1, ...size] = tensor.shape;
  if (size.length === 0) return tensor;
  const taps = size.reduce((product, length) => product * length, 1);
  const bytes = tensor.data.length / (out * channels * taps);
  const data = new Uint8Array(tensor.data.length);
  for (let i = 0; i < out * channels * taps; i++) {
    const [row, rest] = [Math.floor(i / (channels * taps)), i % (channels * taps)];
    const to = row * channels * taps + (rest % taps) * channels + Math.floor(rest / taps);
    data.set(tensor.data.subarray(i * bytes, (i + 1) * bytes), to * bytes);
  }
  return { ...tensor, shape: [out, ...size, channels], data };
}

export interface FileChanges {
  readonly config?: (config: Record<string, unknown>) => void;
  readonly tensors?: (tensors: Tensors) => void;
}

/** The files of a checkpoint. Tensors go to two shards by turns, so that a weight and its scales lie apart. */
export async function quantisedFiles(
  fixture: QuantisedFixture,
  { config: changeConfig, tensors: changeTensors }: FileChanges = {},
): Promise<MemoryFiles> {
  const files: MemoryFiles = new Map(
    [...directoryInMemory(join(DATA, fixture.base))].filter(([name]) => !name.includes("safetensors")),
  );
  const baseConfig = JSON.parse(new TextDecoder().decode(files.get("config.json") as Uint8Array));
  const config = structuredClone({ ...baseConfig, ...fixture.config });
  changeConfig?.(config);
  files.set("config.json", JSON.stringify(config));
  if (fixture.separateConfig) files.set("quantize_config.json", JSON.stringify(fixture.separateConfig));
  const tensors = await quantisedTensors(fixture);
  changeTensors?.(tensors);
  const shards = [0, 1].map((turn) => [...tensors].filter((_, index) => index % 2 === turn));
  const map: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const file = `model-0000${index + 1}-of-00002.safetensors`;
    files.set(file, safetensors(Object.fromEntries(shard)));
    for (const [name] of shard) map[name] = file;
  }
  files.set("model.safetensors.index.json", JSON.stringify({ weight_map: map }));
  return files;
}

export async function openFixture(fixture: QuantisedFixture, changes?: FileChanges) {
  return asFiles(await quantisedFiles(fixture, changes));
}
