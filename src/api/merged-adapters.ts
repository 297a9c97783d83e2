/** Adapters that become part of the weights while a model is loaded. */
import { type Adapter, checkAdapterFits, openAdapter } from "../checkpoint/adapter.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { OpenFiles } from "../checkpoint/location.ts";
import { mergeTargets } from "../checkpoint/merged-weight.ts";
import { GlimtError } from "../errors.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { type AdapterAtLoad, type AdapterSource, readAdapterSource } from "../serving/adapter-options.ts";
import { type AdapterFacts, adapterFacts } from "../serving/adapters.ts";
import { isRoundedFormat } from "../tensor/storage.ts";

export interface MergedAtStart {
  readonly adapter: Adapter;
  readonly scale: number;
  readonly facts: AdapterFacts;
}

/** Opens those to be merged; the others are handed on. @throws OPTION_INVALID, and what opening an adapter throws */
export async function openMerged(
  openFiles: OpenFiles,
  sources: readonly AdapterAtLoad[],
  signal: AbortSignal | undefined,
): Promise<{ merged: MergedAtStart[]; separate: AdapterSource[] }> {
  const names = new Set<string>();
  const merged: MergedAtStart[] = [];
  const separate: AdapterSource[] = [];
  if (!Array.isArray(sources)) throw new GlimtError("OPTION_INVALID", "adapters must be a list.");
  for (const source of sources as readonly AdapterAtLoad[]) {
    const { merge, ...rest } = readAdapterSource(source, ["name", "location", "scale", "merge"]);
    if (names.has(rest.name)) {
      throw new GlimtError("OPTION_INVALID", `adapters has two of the name "${rest.name}".`);
    }
    names.add(rest.name);
    if (!merge) {
      separate.push(rest);
      continue;
    }
    const adapter = await openAdapter(await openFiles(rest.location), signal);
    merged.push({ adapter, scale: rest.scale ?? 1, facts: adapterFacts(rest, adapter, true) });
  }
  return { merged, separate };
}

/** The checkpoint, where tensors that are changed are stored as what their sums can be rounded to. */
export function storedMerged(checkpoint: Checkpoint, merged: readonly MergedAtStart[]): Checkpoint {
  const isChanged = (tensor: string) =>
    merged.some(({ adapter }) => adapter.modules.has(tensor.replace(/\.weight$/, "")));
  return {
    ...checkpoint,
    tensorDType(name) {
      const format = checkpoint.tensorDType(name);
      return format && !isRoundedFormat(format) && isChanged(name) ? "bf16" : format;
    },
  };
}

/** @throws ADAPTER_INVALID when one does not fit the weights, or would change more than it means to */
export function checkMerging(
  merged: readonly MergedAtStart[],
  architecture: string,
  specs: readonly WeightSpec[],
): void {
  if (merged.length === 0) return;
  const modules = mergeTargets(specs);
  for (const { adapter } of merged) {
    if (adapter.modules.has("lm_head") && !modules.has("lm_head")) {
      throw new GlimtError(
        "ADAPTER_INVALID",
        `${adapter.files.location}: the adapter changes lm_head, which is the embedding in this model: merged, it would change that too. Load it without merge.`,
      );
    }
    checkAdapterFits(adapter, architecture, modules);
  }
}
