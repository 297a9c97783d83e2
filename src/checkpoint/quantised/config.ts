/** Which method a checkpoint is quantised by, and with which parameters; what was quantised, its tensors tell. */
import { JsonSection } from "../../config/json-section.ts";
import { GlimtError } from "../../errors.ts";
import { type CheckpointFiles, readJson } from "../files.ts";
import { shownValue } from "../shown.ts";
import { autoRound } from "./auto-round.ts";
import { awq } from "./awq.ts";
import { bitsandbytes } from "./bitsandbytes.ts";
import { compressedTensors } from "./compressed-tensors.ts";
import { fp8 } from "./fp8.ts";
import { gptq } from "./gptq.ts";
import type { QuantisationMethod } from "./method.ts";
import { mlx } from "./mlx.ts";

/** By quant_method. */
const METHODS: Readonly<Record<string, (config: JsonSection) => QuantisationMethod>> = {
  "compressed-tensors": compressedTensors,
  fp8,
  awq,
  gptq,
  "auto-round": autoRound,
  "intel/auto-round": autoRound,
  bitsandbytes,
};

/** Files of AutoGPTQ and AutoAWQ beside a config.json that says nothing. */
const SEPARATE = [
  ["quantize_config.json", gptq],
  ["quant_config.json", awq],
] as const;

/**
 * Null for a checkpoint that is not quantised.
 *
 * @param tensors their names
 * @throws MODEL_UNSUPPORTED naming a method that is not read, CONFIG_INVALID naming a key
 */
export async function readQuantisation(
  files: CheckpointFiles,
  configJson: unknown,
  tensors: Iterable<string>,
  signal: AbortSignal | undefined,
): Promise<QuantisationMethod | null> {
  const root = JsonSection.root(configJson, "config.json");
  // MLX keeps a copy under the other name, without a quant_method.
  const ofMlx = root.optionalSection("quantization");
  if (ofMlx) return mlx(ofMlx);
  const holders = [root, root.optionalSection("text_config")];
  const given = holders
    .map((holder) => holder?.optionalSection("quantization_config"))
    .find((found) => found);
  if (given) return methodOf(given);
  if (![...tensors].some((name) => name.endsWith(".qweight"))) return null;
  for (const [name, method] of SEPARATE) {
    const json = await readJson(files, name, signal);
    if (json !== undefined) return method(JsonSection.root(json, name));
  }
  return null;
}

function methodOf(config: JsonSection): QuantisationMethod {
  const name = config.has("quant_method") ? config.string("quant_method") : undefined;
  const method = name !== undefined && Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (method) return method(config);
  throw new GlimtError(
    "MODEL_UNSUPPORTED",
    `config.json: quantization_config (${shownValue(name)}): glimt reads ${Object.keys(METHODS).join(", ")} and MLX's ` +
      "affine quantisation. Use another quantised checkpoint, or the one that this was made from.",
  );
}
