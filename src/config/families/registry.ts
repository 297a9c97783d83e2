/** The one table of models glimt runs. A new family is a file beside this one and a row here. */
import { GlimtError } from "../../errors.ts";
import type { JsonSection } from "../json-section.ts";
import type { FamilyDefinition, FamilySpelling } from "./family.ts";
import { glmOcr } from "./glm-ocr.ts";
import { glm4v } from "./glm4v.ts";
import { glm4vMoe } from "./glm4v-moe.ts";

export const FAMILIES: readonly FamilyDefinition[] = [glm4v, glmOcr, glm4vMoe];

export interface IdentifiedFamily {
  readonly family: FamilyDefinition;
  readonly architecture: string;
}

/**
 * Family and architecture of a config.json. As in transformers, model_type decides; `architectures` must name the
 * same model when it is there.
 *
 * @throws MODEL_UNSUPPORTED for every other model
 */
export function identifyFamily(
  root: JsonSection,
  families: readonly FamilyDefinition[] = FAMILIES,
): IdentifiedFamily {
  const modelType = root.string("model_type");
  const named = root.get("architectures");
  const architectures = Array.isArray(named) ? named : [];
  const known = families
    .flatMap((family) => family.spellings.map((spelling) => ({ family, spelling })))
    .filter(({ spelling }) => spelling.modelType === modelType)
    .filter(({ spelling }) => architectures.length === 0 || architectures.includes(spelling.architecture));
  if (known.length === 0) {
    const found = `model_type "${modelType}", architectures ${JSON.stringify(architectures)}`;
    throw unsupported(found + partOf(modelType, architectures, families), families);
  }
  const found = known.find(({ spelling }) => wraps(spelling, root));
  if (found) return { family: found.family, architecture: found.spelling.architecture };
  const decoder = decoderType(root);
  throw unsupported(`model_type "${modelType}" around a "${decoder}" decoder`, families);
}

/** What save_pretrained leaves of a part of a model, in words; empty for what is no part of one that glimt runs. */
function partOf(
  modelType: string,
  architectures: readonly unknown[],
  families: readonly FamilyDefinition[],
): string {
  const [, whole = modelType, half] = /^(.*?)_(text|vision)$/.exec(modelType) ?? [];
  const spelling = families
    .flatMap(({ spellings }) => spellings)
    .find((known) => known.modelType === whole && !known.decoders);
  const bare = spelling?.architecture.replace("ForConditionalGeneration", "Model");
  const part =
    half === "text"
      ? "the language model alone"
      : half === "vision"
        ? "the vision tower alone"
        : "the model without its head";
  if (!spelling || (half === undefined && !architectures.includes(bare))) return "";
  return ` (${part}: save the whole ${spelling.architecture})`;
}

function wraps({ decoders }: FamilySpelling, root: JsonSection): boolean {
  return decoders === undefined || decoders.includes(decoderType(root));
}

function decoderType(root: JsonSection): string | null {
  const text = root.section("text_config");
  return text.has("model_type") ? text.string("model_type") : null;
}

function unsupported(found: string, families: readonly FamilyDefinition[]): GlimtError {
  const spellings = families.flatMap((family) => family.spellings);
  const supported = new Set(spellings.map(({ architecture, modelType }) => `${architecture} (${modelType})`));
  return new GlimtError(
    "MODEL_UNSUPPORTED",
    `config.json describes ${found}, which glimt can not run. Supported: ${[...supported].join(", ")}.`,
  );
}
