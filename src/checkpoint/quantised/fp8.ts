/** quant_method "fp8": 8-bit floats with a scale for each block, or one (`weight_scale_inv` is what is multiplied by, too). */
import type { JsonSection } from "../../config/json-section.ts";
import type { QuantisationMethod } from "./method.ts";
import { holdsCodes, scaledElements } from "./scaled-elements.ts";

export function fp8(config: JsonSection): QuantisationMethod {
  const sizes = config.has("weight_block_size") ? config.naturalNumbers("weight_block_size") : null;
  if (sizes && (sizes.length !== 2 || sizes.includes(0))) {
    throw config.invalid("weight_block_size", "two positive integers");
  }
  const blocks = sizes ? [{ rows: sizes[0] as number, cols: sizes[1] as number }] : [];
  return {
    label: "fp8",
    parts: ["weight", "weight_scale_inv", "weight_scale", "input_scale", "activation_scale", "output_scale"],
    decoder(parts) {
      const scale = parts.get("weight_scale") ? "weight_scale" : "weight_scale_inv";
      return parts.get(scale) || holdsCodes(parts) ? scaledElements(parts, scale, blocks) : null;
    },
  };
}
