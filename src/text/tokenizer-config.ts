/** tokenizer_config.json, of which both the tokenizer and the chat template are made. */
import { type CheckpointFiles, readJson } from "../checkpoint/files.ts";

/** The file parsed, or undefined when it is absent. @throws CHECKPOINT_INVALID when it is no JSON. */
export function readTokenizerConfig(files: CheckpointFiles, signal?: AbortSignal): Promise<unknown> {
  return readJson(files, "tokenizer_config.json", signal);
}
