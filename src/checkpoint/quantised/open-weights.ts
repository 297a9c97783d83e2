/** Puts the weights that quantised modules stand for in place of the tensors that stand for them. */
import { throwIfAborted } from "../../errors.ts";
import type { CheckpointFiles } from "../files.ts";
import type { StoredTensor } from "../safetensors.ts";
import type { CheckpointTensor, StoredWeight } from "../stored-weight.ts";
import { type Decoder, Parts, type QuantisationMethod, Unreadable } from "./method.ts";

/** Modules opened at a time: some methods read a little of each. */
const AT_ONCE = 16;

export interface QuantisedWeights {
  /** By published name. */
  readonly weights: ReadonlyMap<string, CheckpointTensor>;
  /** Published names of the tensors that they are made of. */
  readonly taken: ReadonlySet<string>;
}

/**
 * A module is quantised when its tensors say so, whatever the configuration says of it.
 *
 * @param tensors by published name
 */
export async function openQuantised(
  files: CheckpointFiles,
  tensors: ReadonlyMap<string, StoredTensor>,
  method: QuantisationMethod,
  signal: AbortSignal | undefined,
): Promise<QuantisedWeights> {
  const weights = new Map<string, CheckpointTensor>();
  const taken = new Set<string>();
  const waiting = modulesOf(tensors, method.parts).entries();
  const worker = async () => {
    for (const [path, found] of waiting) {
      throwIfAborted(signal);
      const weight = await openModule(files, found, method, signal);
      if (!weight) continue;
      weights.set(`${path}.weight`, weight);
      for (const end of found.keys()) taken.add(`${path}.${end}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { weights, taken };
}

type ModuleTensors = ReadonlyMap<string, StoredTensor>;

/** Tensors by the path of their module, and by the end of their name. */
function modulesOf(
  tensors: ReadonlyMap<string, StoredTensor>,
  ends: readonly string[],
): Map<string, Map<string, StoredTensor>> {
  const modules = new Map<string, Map<string, StoredTensor>>();
  // The longest first: one may be the end of another.
  const suffixes = ends.toSorted((a, b) => b.length - a.length);
  for (const [name, tensor] of tensors) {
    const end = suffixes.find((suffix) => name.endsWith(`.${suffix}`));
    if (end === undefined) continue;
    const path = name.slice(0, -end.length - 1);
    const found = modules.get(path) ?? new Map<string, StoredTensor>();
    modules.set(path, found.set(end, tensor));
  }
  return modules;
}

async function openModule(
  files: CheckpointFiles,
  found: ModuleTensors,
  method: QuantisationMethod,
  signal: AbortSignal | undefined,
): Promise<CheckpointTensor | null> {
  // The largest is the one that holds the elements.
  const tensors = [...found].sort(([, a], [, b]) => b.bytes - a.bytes);
  const [[end, main]] = tensors as [[string, StoredTensor]];
  const path = main.name.slice(0, -end.length - 1);
  const { file, offset } = main;
  const bytes = tensors.reduce((sum, [, tensor]) => sum + tensor.bytes, 0);
  const facts = { name: `${path}.weight`, bytes, file, offset };
  let decoder: Decoder | null;
  try {
    decoder = await method.decoder(new Parts(files, path, method.label, found), signal);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return { ...facts, shape: main.shape, encoding: method.label, refusal: error.message };
  }
  if (!decoder) return null;
  const { shape, rows, blocks } = decoder;
  const encoding = `${method.label} ${decoder.encoding}`;
  const decoded: StoredWeight = {
    ...facts,
    shape,
    encoding,
    format: "f32",
    isDecoded: true,
    readRows: (first, count, into, stop) =>
      rows(first, count, new Float32Array(into.buffer, into.byteOffset, into.length / 4), stop),
  };
  if (!blocks) return decoded;
  const { format, isRounded, rows: readRows } = blocks;
  return { ...decoded, format, isDecoded: false, readRows, exact: isRounded ? decoded : undefined };
}
