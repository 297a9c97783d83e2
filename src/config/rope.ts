/** Rotary parameters: `rope_parameters` (transformers 5.x), or rope_theta, rope_scaling, partial_rotary_factor (4.x). */
import type { FamilyTraits } from "./families/family.ts";
import type { JsonSection } from "./json-section.ts";
import type { TextRopeConfig } from "./types.ts";

/** transformers' default base; published vision configs carry no rotary keys and mean this value. */
const DEFAULT_VISION_THETA = 10_000;

export function parseTextRope(section: JsonSection, headDim: number, traits: FamilyTraits): TextRopeConfig {
  const group = ropeGroup(section);
  if (!group)
    throw section.invalid("rope_parameters", "an object (or rope_scaling, as older files spell it)");
  requireType(group, ["default"]);
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
  const mropeSection = group.naturalNumbers("mrope_section");
  if (mropeSection.reduce((sum, length) => sum + length, 0) !== rotaryDim / 2) {
    throw group.invalid("mrope_section", `lengths that sum to half of ${rotaryDim} rotated dimensions`);
  }
  return {
    theta: owner.positiveNumber("rope_theta"),
    rotaryDim,
    mropeSection: [...mropeSection],
    pairs: traits.ropePairs,
  };
}

export function visionRopeTheta(section: JsonSection): number {
  const group = ropeGroup(section);
  if (group) requireType(group, ["default", "axial"]);
  const owner = group?.has("rope_theta") ? group : section;
  return owner.has("rope_theta") ? owner.positiveNumber("rope_theta") : DEFAULT_VISION_THETA;
}

/** As in transformers, rope_scaling wins when a file has both. */
function ropeGroup(section: JsonSection): JsonSection | null {
  return section.optionalSection("rope_scaling") ?? section.optionalSection("rope_parameters");
}

/** `type` is the oldest spelling of `rope_type`; absent, it means "default". Scaled rotaries are other models. */
function requireType(group: JsonSection, accepted: readonly string[]): void {
  const key = group.has("rope_type") ? "rope_type" : "type";
  // Qwen2-VL's spelling of the same thing, found in files of the first releases.
  const names = [...accepted, "mrope"];
  if (group.has(key) && !names.includes(group.string(key))) {
    throw group.invalid(key, accepted.map((name) => `"${name}"`).join(" or "));
  }
}
