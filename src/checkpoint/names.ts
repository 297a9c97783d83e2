/** Tensor names: older spellings to the published one, and which tensors the plain model does without. */

/** The first pattern that fits rewrites the beginning of a name. As transformers' own conversion for these families, or back from MLX. */
const OLDER_PREFIXES: readonly (readonly [RegExp, string])[] = [
  [/^visual\./, "model.visual."],
  // MLX's.
  [/^vision_tower\./, "model.visual."],
  [/^language_model\.model\./, "model.language_model."],
  [/^language_model\.lm_head\./, "lm_head."],
  [/^model\.(?!visual\.|language_model\.)/, "model.language_model."],
];

export function publishedName(name: string): string {
  const rule = OLDER_PREFIXES.find(([pattern]) => pattern.test(name));
  return rule ? name.replace(rule[0], rule[1]) : name;
}

/** Why a tensor is set aside: layers that predict several tokens, rotary buffers, what nobody knows. */
export type Aside = "mtp" | "rotary" | "unknown";

/**
 * Why a tensor that no graph asks for may lie in a checkpoint: a layer past the last one predicts several tokens at
 * once (MTP), and rotary frequencies are computed.
 */
export function asideReason(name: string, numHiddenLayers: number): Aside {
  const layer = /^model\.language_model\.layers\.(\d+)\./.exec(name)?.[1];
  if (layer !== undefined && Number(layer) >= numHiddenLayers) return "mtp";
  if (/(^|\.)inv_freq$/.test(name)) return "rotary";
  return "unknown";
}
