/** A LoRA adapter as PEFT saves it: opened, held against the model it is for, and read. */
import { GlimtError } from "../errors.ts";
import { sourceRectangle, type WeightSource, type WeightSpec } from "../graph/weight-spec.ts";
import { type AdapterConfig, parseAdapterConfig } from "./adapter-config.ts";
import { absenceOf, type CheckpointFiles, readJson } from "./files.ts";
import { publishedName } from "./names.ts";
import { plainTensor } from "./plain-weight.ts";
import { readSafetensorsHeader } from "./safetensors.ts";
import type { CheckpointTensor, StoredWeight } from "./stored-weight.ts";
import { WeightReader } from "./weight-reader.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const PICKLED = "adapter_model.bin";

/** The change of one linear or convolution: y += scaling * B (A x). */
export interface AdapterModule {
  /** Published path, e.g. "model.language_model.layers.0.self_attn.q_proj". */
  readonly path: string;
  readonly rank: number;
  readonly scaling: number;
  /** [rank, ...the module's input dimensions]. */
  readonly a: StoredWeight;
  /** [outFeatures, rank], for a convolution with trailing ones. */
  readonly b: StoredWeight;
}

export interface Adapter {
  readonly files: CheckpointFiles;
  readonly baseModelClass: string | null;
  /** By path, in the file's order. */
  readonly modules: ReadonlyMap<string, AdapterModule>;
  /** Copies of weights that PEFT saves beside a head it adapts; not read, the checkpoint has them. By module path. */
  readonly copies: ReadonlyMap<string, CheckpointTensor>;
}

/** The tensor names by which weight specs ask for an adapter's matrices. */
function adapterTensors(path: string): { readonly a: string; readonly b: string } {
  return { a: `${path}.lora_A`, b: `${path}.lora_B` };
}

/** Reads the configuration and the header. @throws CHECKPOINT_NOT_FOUND, ADAPTER_INVALID, CHECKPOINT_INVALID, ABORTED */
export async function openAdapter(files: CheckpointFiles, signal?: AbortSignal): Promise<Adapter> {
  const json = await readJson(files, CONFIG, signal);
  if (json === undefined) {
    throw new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${files.location} has no ${CONFIG}: it is not a PEFT adapter.${absenceOf(files, CONFIG)}`,
    );
  }
  const config = parseAdapterConfig(json, `${CONFIG} in ${files.location}`);
  const size = await files.size(WEIGHTS, signal);
  if (size === null) {
    const pickled = (await files.size(PICKLED, signal)) !== null;
    const advice = pickled ? ` ${PICKLED} is pickled; save it as safetensors first.` : "";
    throw new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${files.location} has no ${WEIGHTS}.${absenceOf(files, WEIGHTS)}${advice}`,
    );
  }
  const header = await readSafetensorsHeader(files, WEIGHTS, size, signal);
  const tensors = header.map((tensor) => plainTensor(files, tensor));
  const { pairs, copies } = sortTensors(tensors, files.location);
  const modules = new Map<string, AdapterModule>();
  for (const [path, pair] of pairs) {
    modules.set(path, adapterModule(path, pair, config, files.location));
  }
  if (modules.size === 0) throw invalid(files.location, `${WEIGHTS} holds no lora_A and lora_B.`);
  await files.bring?.([WEIGHTS], signal);
  return { files, baseModelClass: config.baseModelClass, modules, copies };
}

interface Pair {
  /** As in the file, without PEFT's prefix: what the patterns of the configuration are about. */
  readonly spelled: string;
  a?: CheckpointTensor;
  b?: CheckpointTensor;
}

function sortTensors(tensors: readonly CheckpointTensor[], location: string) {
  const pairs = new Map<string, Pair>();
  const copies = new Map<string, CheckpointTensor>();
  for (const tensor of tensors) {
    const name = tensor.name.replace(/^base_model\.model\./, "");
    const found = /^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/.exec(name);
    const copied = /^(.+)\.base_layer\.weight$/.exec(name)?.[1];
    if (found) {
      const [, spelled = "", matrix] = found;
      const path = publishedPath(spelled);
      const pair = pairs.get(path) ?? { spelled };
      const slot = matrix === "A" ? "a" : "b";
      if (pair[slot]) {
        throw invalid(location, `"${tensor.name}" is the second lora_${matrix} of ${path}.`);
      }
      pair[slot] = tensor;
      pairs.set(path, pair);
    } else if (copied !== undefined) {
      copies.set(publishedPath(copied), tensor);
    } else {
      throw invalid(
        location,
        `"${tensor.name}" is no lora_A or lora_B of a linear or convolution, which is all glimt applies.`,
      );
    }
  }
  return { pairs, copies };
}

/** An adapter of the bare model class leaves out the leading "model.", older classes spell parts otherwise. */
function publishedPath(spelled: string): string {
  return spelled.startsWith("language_model.") ? `model.${spelled}` : publishedName(spelled);
}

function adapterModule(
  path: string,
  { spelled, a, b }: Pair,
  config: AdapterConfig,
  location: string,
): AdapterModule {
  if (!a || !b) throw invalid(location, `${path} has lora_${a ? "A" : "B"} but no lora_${a ? "B" : "A"}.`);
  const rank = config.rank(spelled);
  if (a.shape[0] !== rank || b.shape[1] !== rank) {
    throw invalid(
      location,
      `${path} has matrices [${a.shape.join(", ")}] and [${b.shape.join(", ")}], ${CONFIG} gives it rank ${rank}.`,
    );
  }
  if (a.refusal !== undefined) throw invalid(location, `"${a.name}" ${a.refusal}.`);
  if (b.refusal !== undefined) throw invalid(location, `"${b.name}" ${b.refusal}.`);
  if (!config.targets(spelled)) throw invalid(location, `${path} is not among target_modules of ${CONFIG}.`);
  return { path, rank, scaling: config.scaling(spelled), a, b };
}

/**
 * `modules` are the weights that a low-rank change can be added to, by path; `mergeable` those that it could be merged
 * into.
 * @throws ADAPTER_INVALID naming the first module that does not fit, and the model the adapter was made for.
 */
export function checkAdapterFits(
  adapter: Adapter,
  architecture: string,
  modules: ReadonlyMap<string, WeightSource>,
  mergeable: ReadonlyMap<string, WeightSource> = modules,
): void {
  const { baseModelClass, files } = adapter;
  const complaint = firstMisfit(adapter, modules, mergeable);
  const foreign = baseModelClass !== null && !sameModel(baseModelClass, architecture);
  if (complaint === null && !foreign) return;
  const madeFor = baseModelClass === null ? "" : `It was made for ${baseModelClass}. `;
  const first = complaint ?? `${adapter.modules.keys().next().value} may mean something else there.`;
  throw invalid(files.location, `the adapter does not fit ${architecture}. ${madeFor}${first}`);
}

function firstMisfit(
  { modules, copies }: Adapter,
  targets: ReadonlyMap<string, WeightSource>,
  mergeable: ReadonlyMap<string, WeightSource>,
): string | null {
  for (const { path, rank, a, b } of modules.values()) {
    const target = targets.get(path);
    if (!target && mergeable.has(path)) {
      return `It changes ${path}, a part of a stacked weight: load it with the model and merge: true.`;
    }
    if (!target) return `It changes ${path}, which this model does not have as a linear layer.`;
    const [outFeatures, ...inputs] = target.shape;
    const expectedA = [rank, ...inputs];
    const expectedB = [outFeatures, rank, ...inputs.slice(1).map(() => 1)];
    if (a.shape.join() !== expectedA.join() || b.shape.join() !== expectedB.join()) {
      return `${path} is [${target.shape.join(", ")}] here, but lora_A is [${a.shape.join(", ")}] and lora_B [${b.shape.join(", ")}].`;
    }
  }
  for (const [path, copy] of copies) {
    const target = targets.get(path);
    if (target?.shape.join() !== copy.shape.join()) {
      return `"${copy.name}" is [${copy.shape.join(", ")}], ${target ? `here it is [${target.shape.join(", ")}]` : "which this model does not have"}.`;
    }
  }
  return null;
}

/** Glm46V wraps the decoders of the others; the bare model and the one with a head are one model. */
function sameModel(a: string, b: string): boolean {
  const [first, second] = [a, b].map((name) => name.replace(/(ForConditionalGeneration|Model)$/, ""));
  return first === second || [first, second].includes("Glm46V");
}

/** A in the layout of the base weight, and B with everything that scales the change. */
export function adapterSpecs(
  { path, rank, scaling, a, b }: AdapterModule,
  base: WeightSource,
  scale: number,
): { readonly a: WeightSpec; readonly b: WeightSpec } {
  const names = adapterTensors(path);
  const { rows, cols } = base;
  const total = scaling * scale;
  return {
    a: {
      name: names.a + (cols ? ` columns ${cols.first}+${cols.count}` : ""),
      shape: [rank, sourceRectangle({ ...a, ...(cols && { cols }) }).cols.count],
      dtype: "f32",
      sources: [{ tensor: names.a, shape: a.shape, layout: base.layout, ...(cols && { cols }) }],
    },
    b: {
      name: names.b + (rows ? ` rows ${rows.first}+${rows.count}` : ""),
      shape: [rows?.count ?? (b.shape[0] as number), rank],
      dtype: "f32",
      sources: [
        {
          tensor: names.b,
          shape: b.shape,
          layout: "rows",
          ...(rows && { rows }),
          ...(total === 1 ? {} : { scale: total }),
        },
      ],
    },
  };
}

/** Rows of a spec made of those that `adapterSpecs` gives. */
export function adapterRows({ files, modules }: Adapter, spec: WeightSpec): WeightReader {
  const stored = new Map<string, StoredWeight>();
  for (const { path, a, b } of modules.values()) {
    const names = adapterTensors(path);
    stored.set(names.a, a).set(names.b, b);
  }
  const sources = spec.sources.map((source) => {
    const tensor = stored.get(source.tensor);
    if (!tensor) throw new GlimtError("GRAPH_INVALID", `${files.location} has no ${source.tensor}.`);
    return { ...source, tensor };
  });
  return new WeightReader(spec, sources, 0);
}

function invalid(location: string, what: string): GlimtError {
  return new GlimtError("ADAPTER_INVALID", `${location}: ${what}`);
}
