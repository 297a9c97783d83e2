/** AutoRound: tensors as GPTQ or AWQ have them; which, its key packing_format says. */
import type { JsonSection } from "../../config/json-section.ts";
import { awqMethod } from "./awq.ts";
import { compressedTensors } from "./compressed-tensors.ts";
import { gptqMethod, groupSizeOf } from "./gptq.ts";
import type { QuantisationMethod } from "./method.ts";

const LABEL = "AutoRound";

export function autoRound(config: JsonSection): QuantisationMethod {
  const packing = config.has("packing_format") ? config.string("packing_format") : "auto_round:auto_gptq";
  if (packing.includes("llm_compressor")) return compressedTensors(config);
  if (packing.includes("awq")) return awqMethod(LABEL, groupSizeOf(config));
  // GPTQ's second version: zero points as they are.
  if (packing.includes("gptqmodel") || /^auto_round(:(exllamav2|tritonv2|torch))?$/.test(packing)) {
    return gptqMethod(LABEL, config, 0);
  }
  if (packing.includes("gptq")) return gptqMethod(LABEL, config, 1);
  throw config.invalid(
    "packing_format",
    "auto_round:auto_gptq, auto_round:gptqmodel, auto_round:auto_awq or auto_round",
  );
}
