/** MLX's affine quantisation: w = q * scale + bias. */
import type { JsonSection } from "../../config/json-section.ts";
import { publishedName } from "../names.ts";
import { SCALE_DTYPES } from "./float-values.ts";
import { type QuantisationMethod, Unreadable } from "./method.ts";
import { packedRows } from "./packed-rows.ts";

/** MLX has 3, 5 and 6 too, which no judge of the layout was at hand for. */
const BITS: readonly number[] = [2, 4, 8];

/** @param config the section "quantization", whose objects are modules with a choice of their own */
export function mlx(config: JsonSection): QuantisationMethod {
  const groupSize = config.positiveInteger("group_size");
  const mode = config.has("mode") ? config.string("mode") : "affine";
  const ownGroups = new Map(
    config.keys().flatMap((key) => {
      const own = config.get(key);
      if (typeof own !== "object" || own === null || Array.isArray(own)) return [];
      const section = config.section(key);
      return section.has("group_size")
        ? [[publishedName(`${key}.weight`), section.positiveInteger("group_size")] as const]
        : [];
    }),
  );
  return {
    label: "MLX",
    parts: ["weight", "scales", "biases"],
    decoder(parts) {
      if (!parts.get("scales")) return null;
      if (mode !== "affine") throw new Unreadable(`is quantised in mode ${mode}; glimt reads affine (MLX)`);
      const words = parts.need("weight", ["U32"], 2);
      const scales = parts.need("scales", SCALE_DTYPES, 2);
      const biases = parts.need("biases", SCALE_DTYPES, 2);
      const [out = 0, rowWords = 0] = words.shape;
      const [scaleRows = 0, groups = 0] = scales.shape;
      if (scaleRows !== out) throw parts.misfit("scales", `${out} rows`);
      if (biases.shape.join() !== scales.shape.join())
        throw parts.misfit("biases", "the shape of the scales");
      const group = ownGroups.get(publishedName(`${parts.path}.weight`)) ?? groupSize;
      const cols = groups * group;
      const bits = (rowWords * 32) / cols;
      if (!BITS.includes(bits)) {
        throw new Unreadable(
          `has ${rowWords} words a row for ${groups} groups of ${group}, which are ${bits} bits an element; glimt reads ${BITS.join(", ")} (MLX)`,
        );
      }
      return packedRows(parts, {
        words,
        bits,
        cols,
        scales,
        biases,
        group,
        encoding: `${bits} bits, groups of ${group}`,
      });
    },
  };
}
