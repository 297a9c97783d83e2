/** From the tensors that safetensors files list to those that a model asks for: quantised ones decoded, MLX's turned back. */
import { GlimtError } from "../errors.ts";
import { channelsFirst } from "./channels-first.ts";
import type { CheckpointFiles } from "./files.ts";
import { plainTensor } from "./plain-weight.ts";
import { readQuantisation } from "./quantised/config.ts";
import { openQuantised } from "./quantised/open-weights.ts";
import type { StoredTensor } from "./safetensors.ts";
import { shownName } from "./shown.ts";
import type { CheckpointTensor } from "./stored-weight.ts";

/**
 * @param stored by published name
 * @param configJson config.json
 * @throws MODEL_UNSUPPORTED naming the method of quantisation, CONFIG_INVALID, CHECKPOINT_INVALID
 */
export async function openTensors(
  files: CheckpointFiles,
  stored: ReadonlyMap<string, StoredTensor>,
  configJson: unknown,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, CheckpointTensor>> {
  const method = await readQuantisation(files, configJson, stored.keys(), signal);
  const quantised = method && (await openQuantised(files, stored, method, signal));
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of stored) {
    if (quantised?.taken.has(name)) continue;
    if (quantised?.weights.has(name)) {
      throw new GlimtError(
        "CHECKPOINT_INVALID",
        `${files.location} holds "${shownName(name)}" twice: as it is, and quantised.`,
      );
    }
    tensors.set(name, openPlain(files, tensor));
  }
  for (const [name, weight] of quantised?.weights ?? []) tensors.set(name, weight);
  return tensors;
}

/** MLX keeps the kernels of convolutions with the channels last; that a file is MLX's, its names tell. */
function openPlain(files: CheckpointFiles, stored: StoredTensor): CheckpointTensor {
  const tensor = plainTensor(files, stored);
  const isKernel = stored.name.startsWith("vision_tower.") && stored.shape.length > 2;
  return isKernel && tensor.refusal === undefined ? channelsFirst(tensor) : tensor;
}
