/** What describes a checkpoint beside its weights: copied as it is, but for what config.json says of quantisation. */
import { type ExactJson, exactJsonText, parseExactJson } from "../../json/exact.ts";
import { type CheckpointFiles, readText } from "../files.ts";
import { quantizationConfig } from "./quantization-config.ts";
import type { WrittenWeight } from "./written-weight.ts";

/** Of checkpoints whose files can not be listed. */
const USUAL = [
  "generation_config.json",
  "preprocessor_config.json",
  "video_preprocessor_config.json",
  "processor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "LICENSE",
];
const DESCRIPTIONS = /^[^/]+\.(json|jinja)$|^merges\.txt$|^LICENSE(\.\w+)?$/;
/** Written anew, or of the way in which the source is quantised. */
const OTHERS = /^config\.json$|\.index\.json$|^quanti[sz]e?_config\.json$|^quant_config\.json$/;
/** Where a configuration may say how its weights are quantised. */
const QUANTISATION = ["quantization_config", "quantization", "compression_config"];

/** By name. @throws CHECKPOINT_INVALID, ABORTED */
export async function descriptionFiles(
  files: CheckpointFiles,
  signal: AbortSignal | undefined,
): Promise<Map<string, Uint8Array>> {
  const listed = (await files.list?.()) ?? [];
  const names = new Set(
    [...USUAL, ...listed].filter((name) => DESCRIPTIONS.test(name) && !OTHERS.test(name)),
  );
  const found = new Map<string, Uint8Array>();
  for (const name of [...names].sort()) {
    const bytes = await files.readAll(name, signal);
    if (bytes) found.set(name, bytes);
  }
  return found;
}

/** The source's config.json, with what is said of quantisation replaced. It is there: the checkpoint was opened. */
export async function quantisedConfigText(
  files: CheckpointFiles,
  weights: readonly WrittenWeight[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const config = parseExactJson((await readText(files, "config.json", signal)) ?? "{}");
  const written = without(config as ReadonlyMap<string, ExactJson>);
  const text = written.get("text_config");
  if (text instanceof Map) written.set("text_config", without(text));
  written.set("quantization_config", parseExactJson(JSON.stringify(quantizationConfig(weights))));
  return `${exactJsonText(written, 2)}\n`;
}

function without(config: ReadonlyMap<string, ExactJson>): Map<string, ExactJson> {
  return new Map([...config].filter(([key]) => !QUANTISATION.includes(key)));
}
