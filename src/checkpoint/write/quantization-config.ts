/**
 * What config.json says of weights in blocks: compressed-tensors' `pack-quantized`, a group of modules for each width, and
 * by name what is not quantised. Modules are named by regular expressions that hold in the names of transformers
 * ("model.language_model.layers.0...") and in those of vLLM ("language_model.model.layers.0...") alike.
 */
import { BLOCK_COLS, type MadeBlockFormat } from "../../tensor/blocks.ts";
import { isBlockFormat } from "../../tensor/storage.ts";
import { BITS } from "../quantised/packed-blocks.ts";
import type { WrittenWeight } from "./written-weight.ts";

const END = ".weight";

export function quantizationConfig(weights: readonly WrittenWeight[]): object {
  const matrices = weights.filter(({ name, source }) => name.endsWith(END) && source.shape.length === 2);
  const widths = [...new Set(matrices.flatMap(({ format }) => (isBlockFormat(format) ? [format] : [])))];
  const groups = widths
    .sort((a, b) => BITS[a] - BITS[b])
    .map((width, index) => {
      // What is ignored is so whatever a target says.
      const mayBe = ({ format }: WrittenWeight) => format === width || !isBlockFormat(format);
      return [
        `group_${index}`,
        group(
          width,
          patterns(matrices, ({ format }) => format === width, mayBe),
        ),
      ];
    });
  const isPrecise = ({ format }: WrittenWeight) => !isBlockFormat(format);
  return {
    quant_method: "compressed-tensors",
    format: "pack-quantized",
    quantization_status: "compressed",
    config_groups: Object.fromEntries(groups),
    ignore: patterns(matrices, isPrecise, isPrecise),
  };
}

function group(format: MadeBlockFormat, targets: readonly string[]): object {
  const weights = {
    num_bits: BITS[format],
    type: "int",
    symmetric: true,
    strategy: "group",
    group_size: BLOCK_COLS,
    dynamic: false,
  };
  return { targets, weights, input_activations: null, output_activations: null };
}

/** Each takes one number of a name less for any: of layers, of experts. */
const NUMBERS = [/\\\.\d+(?=\\\.)/g, /(?<=\\\.\d+\\\..*)\\\.\d+(?=\\\.)/g, /(?!)/g] as const;

/** Few patterns that fit all weights of which `isIn` is true, and of the others at most those of which `mayBe` is. */
function patterns(
  weights: readonly WrittenWeight[],
  isIn: (weight: WrittenWeight) => boolean,
  mayBe: (weight: WrittenWeight) => boolean,
  level = 0,
): string[] {
  const numbers = NUMBERS[level];
  if (!numbers) return [];
  const kinds = new Map<string, WrittenWeight[]>();
  for (const weight of weights) {
    const kind = modulePattern(weight.name).replace(numbers, "\\.\\d+");
    const found = kinds.get(kind);
    if (found) found.push(weight);
    else kinds.set(kind, [weight]);
  }
  return [...kinds].flatMap(([kind, alike]) => {
    if (!alike.some(isIn)) return [];
    return alike.every(mayBe) ? [`re:(.*\\.)?${kind}$`] : patterns(alike, isIn, mayBe, level + 1);
  });
}

/** Of its name, without what transformers and vLLM put at different places. */
function modulePattern(name: string): string {
  const module = name.slice(0, -END.length).replace(/^model\.(language_model\.)?/, "");
  return module.replaceAll(".", "\\.");
}
