/** Rotary parameters: `rope_parameters` (transformers 5.x), or rope_theta, rope_scaling, partial_rotary_factor (4.x). */
import type { FamilyTraits } from "./families/family.ts";
import type { JsonSection } from "./json-section.ts";
import type { RopeScaling, TextRopeConfig } from "./types.ts";

/** transformers' default base; published vision configs carry no rotary keys and mean this value. */
const DEFAULT_VISION_THETA = 10_000;

/** What transformers' modelling files take where a file has none: that of heads of 64 rotated dimensions. */
const DEFAULT_MROPE_SECTION = [8, 12, 12];

export function parseTextRope(section: JsonSection, headDim: number, traits: FamilyTraits): TextRopeConfig {
  const group = ropeGroup(section);
  if (!group)
    throw section.invalid("rope_parameters", "an object (or rope_scaling, as older files spell it)");
  const owner = group.has("rope_theta") ? group : section;
  const factorOwner = group.has("partial_rotary_factor") ? group : section;
  // transformers: absent means the family's default (1, and 0.5 for the mixture of experts).
  const factor = factorOwner.has("partial_rotary_factor")
    ? factorOwner.positiveNumber("partial_rotary_factor")
    : traits.partialRotaryFactor;
  // transformers truncates: int(head_dim * partial_rotary_factor).
  const rotaryDim = Math.floor(headDim * factor);
  if (factor > 1 || rotaryDim < 2 || rotaryDim % 2 !== 0) {
    throw factorOwner.invalid(
      "partial_rotary_factor",
      `a share of head_dim ${headDim} that gives an even number`,
    );
  }
  const mropeSection = group.has("mrope_section")
    ? group.naturalNumbers("mrope_section")
    : DEFAULT_MROPE_SECTION;
  if (mropeSection.reduce((sum, length) => sum + length, 0) !== rotaryDim / 2) {
    throw group.invalid("mrope_section", `lengths that sum to half of ${rotaryDim} rotated dimensions`);
  }
  const scaling = parseScaling(section, group);
  return {
    theta: owner.positiveNumber("rope_theta"),
    rotaryDim,
    mropeSection: [...mropeSection],
    pairs: traits.ropePairs,
    ...(scaling && { scaling }),
  };
}

/** Null for frequencies as they are. */
function parseScaling(section: JsonSection, group: JsonSection): RopeScaling | null {
  const type = typeOf(group);
  if (type === "default" || type === "mrope") return null;
  const read = Object.hasOwn(SCALINGS, type) ? SCALINGS[type] : undefined;
  if (read) return read(section, group);
  const known = ["default", ...Object.keys(SCALINGS)].map((name) => `"${name}"`).join(", ");
  throw group.invalid(
    typeKey(group),
    `one of ${known}: longrope changes with the text's length, others glimt lacks`,
  );
}

const SCALINGS: Readonly<Record<string, (section: JsonSection, group: JsonSection) => RopeScaling | null>> = {
  linear: (_, group) => ({ type: "linear", factor: factorOf(group) }),
  dynamic: (_, group) => {
    factorOf(group);
    // It changes frequencies from the first position past max_position_embeddings on, which glimt refuses.
    return null;
  },
  yarn: parseYarn,
  llama3: (section, group) => ({
    type: "llama3",
    factor: factorOf(group),
    lowFrequencyFactor: group.positiveNumber("low_freq_factor"),
    highFrequencyFactor: group.positiveNumber("high_freq_factor"),
    originalMaxPositions: originalMaxPositions(section, group),
  }),
};

function parseYarn(section: JsonSection, group: JsonSection): RopeScaling {
  const original = originalMaxPositions(section, group);
  const factor = group.isNull("factor")
    ? section.positiveInteger("max_position_embeddings") / original
    : factorOf(group);
  const optional = (key: string, absent: number) =>
    group.has(key) && group.get(key) !== 0 ? group.positiveNumber(key) : absent;
  // As in transformers: each of the two alone does nothing.
  const [mscale, mscaleAllDim] = [optional("mscale", 0), optional("mscale_all_dim", 0)];
  const suggested =
    mscale && mscaleAllDim
      ? yarnMscale(factor, mscale) / yarnMscale(factor, mscaleAllDim)
      : yarnMscale(factor, 1);
  return {
    type: "yarn",
    factor,
    attentionFactor: group.has("attention_factor") ? group.nonNegativeNumber("attention_factor") : suggested,
    betaFast: optional("beta_fast", 32),
    betaSlow: optional("beta_slow", 1),
    originalMaxPositions: original,
    truncate: group.has("truncate") ? group.boolean("truncate") : !group.isNull("truncate"),
  };
}

function yarnMscale(scale: number, mscale: number): number {
  return scale <= 1 ? 1 : 0.1 * mscale * Math.log(scale) + 1;
}

function factorOf(group: JsonSection): number {
  if (group.has("factor")) return group.positiveNumber("factor");
  throw group.invalid("factor", 'a positive number, since rope_type is not "default"');
}

/** Beside the group where a file has it there, as transformers prefers it. */
function originalMaxPositions(section: JsonSection, group: JsonSection): number {
  const key = "original_max_position_embeddings";
  const owner = [section, group].find((holder) => holder.has(key));
  return owner ? owner.positiveInteger(key) : section.positiveInteger("max_position_embeddings");
}

export function visionRopeTheta(section: JsonSection): number {
  const group = ropeGroup(section);
  if (group && !["default", "axial", "mrope"].includes(typeOf(group))) {
    throw group.invalid(typeKey(group), '"default" or "axial"');
  }
  const owner = group?.has("rope_theta") ? group : section;
  return owner.has("rope_theta") ? owner.positiveNumber("rope_theta") : DEFAULT_VISION_THETA;
}

/** As in transformers, rope_scaling wins when a file has both. */
function ropeGroup(section: JsonSection): JsonSection | null {
  return section.optionalSection("rope_scaling") ?? section.optionalSection("rope_parameters");
}

/** `type` is the oldest spelling of `rope_type`. */
function typeKey(group: JsonSection): "rope_type" | "type" {
  return group.has("rope_type") ? "rope_type" : "type";
}

/** "mrope" is Qwen2-VL's spelling of "default", found in files of the first releases. */
function typeOf(group: JsonSection): string {
  const key = typeKey(group);
  return group.has(key) ? group.string(key) : "default";
}
