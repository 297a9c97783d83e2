/** Which tensors are the embedding and the head, where config.json says that one serves as both. */
import type { ModelConfig } from "../config/types.ts";
import type { CheckpointTensor } from "./stored-weight.ts";

const EMBEDDING = "model.language_model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/**
 * As transformers: a head that is there is used whatever the config says (where it is the embedding once more, it only
 * takes memory), and if it alone is there it is the embedding too.
 *
 * @param tensors by published name
 */
export function resolveTie(
  config: ModelConfig,
  tensors: ReadonlyMap<string, CheckpointTensor>,
): { config: ModelConfig; tensors: ReadonlyMap<string, CheckpointTensor> } {
  const head = tensors.get(HEAD);
  if (!config.tieWordEmbeddings || !head) return { config, tensors };
  if (tensors.has(EMBEDDING)) {
    return { config: Object.freeze({ ...config, tieWordEmbeddings: false }), tensors };
  }
  const renamed = [...tensors].map(([name, tensor]) => [name === HEAD ? EMBEDDING : name, tensor] as const);
  return { config, tensors: new Map(renamed) };
}
