/** adapter_config.json as PEFT writes it: which LoRA it is, and how strongly each module is changed. */
import { JsonSection } from "../config/json-section.ts";

export interface AdapterConfig {
  /** The transformers class it was trained on, where PEFT wrote it down. */
  readonly baseModelClass: string | null;
  /** Whether the config means this module; `path` as spelled in the adapter's file. */
  targets(path: string): boolean;
  rank(path: string): number;
  /** What B A x is multiplied by: alpha / rank, or alpha / sqrt(rank) for rank-stabilised LoRA. */
  scaling(path: string): number;
}

/** Keys that change what an adapter computes in ways glimt lacks; each is fine while it is unset. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  use_dora: "DoRA",
  use_qalora: "QA-LoRA",
  use_bdlora: "block-diagonal LoRA",
  lora_bias: "biases on lora_B",
  fan_in_fan_out: "transposed weights",
  modules_to_save: "whole modules besides the low-rank ones",
  trainable_token_indices: "trained token embeddings",
  target_parameters: "parameters that are no linear layers (the routed experts)",
  layer_replication: "replicated layers",
  alora_invocation_tokens: "activated LoRA",
  arrow_config: "Arrow routing",
  kasa_config: "KaSA",
  monteclora_config: "MonteCLoRA",
};

/** Initialisations that also change the base weights, so that the adapter alone does not fit the published ones. */
const CHANGES_BASE = /^(pissa|corda|olora|loftq|lora_ga)/i;

/** @throws ADAPTER_INVALID naming the key. */
export function parseAdapterConfig(json: unknown, file: string): AdapterConfig {
  const root = JsonSection.root(json, file, "ADAPTER_INVALID");
  if (root.string("peft_type") !== "LORA") throw root.invalid("peft_type", '"LORA"');
  if (root.has("bias") && root.string("bias") !== "none") throw root.invalid("bias", '"none"');
  for (const [key, meaning] of Object.entries(UNSUPPORTED)) {
    if (isSet(root.get(key))) throw root.invalid(key, `nothing, since glimt does not apply ${meaning}`);
  }
  const initialised = root.get("init_lora_weights");
  if (typeof initialised === "string" && CHANGES_BASE.test(initialised)) {
    throw root.invalid("init_lora_weights", "an adapter of the published weights; convert it to plain LoRA");
  }
  const stabilised = root.has("use_rslora") && root.boolean("use_rslora");
  const rank = root.positiveInteger("r");
  const alpha = root.nonNegativeNumber("lora_alpha");
  const ranks = patterns(root, "rank_pattern");
  const alphas = patterns(root, "alpha_pattern");
  const rankOf = (path: string) => ranks(path) ?? rank;
  return {
    baseModelClass: baseModelClass(root),
    targets: targetModules(root),
    rank: rankOf,
    scaling(path) {
      const size = rankOf(path);
      return (alphas(path) ?? alpha) / (stabilised ? Math.sqrt(size) : size);
    },
  };
}

/** The first pattern that the end of a path matches gives its value, as in PEFT. */
function patterns(root: JsonSection, key: string): (path: string) => number | undefined {
  const section = root.optionalSection(key);
  if (!section) return () => undefined;
  const compiled = section.keys().map((pattern) => {
    try {
      return [new RegExp(`^(.*\\.)?(${pattern})$`), section.nonNegativeNumber(pattern)] as const;
    } catch (cause) {
      if (cause instanceof SyntaxError) throw root.invalid(key, "regular expressions as keys");
      throw cause;
    }
  });
  return (path) => compiled.find(([pattern]) => pattern.test(path))?.[1];
}

/**
 * Names are the ends of paths. A string is a regular expression in Python's dialect, which is not run here: the
 * tensors in the file say what it chose.
 */
function targetModules(root: JsonSection): (path: string) => boolean {
  const value = root.get("target_modules");
  if (typeof value === "string") return () => true;
  if (!Array.isArray(value) || value.length === 0 || !value.every((name) => typeof name === "string")) {
    throw root.invalid("target_modules", "a regular expression or a list of module names");
  }
  return (path) => value.some((name: string) => path === name || path.endsWith(`.${name}`));
}

function baseModelClass(root: JsonSection): string | null {
  const mapping = root.optionalSection("auto_mapping");
  return mapping?.has("base_model_class") ? mapping.string("base_model_class") : null;
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
