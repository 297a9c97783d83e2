/** A model in GGUF files, as the rest of glimt knows checkpoints: configuration files, and tensors by published name. */
import type { VisionConfig } from "../../config/types.ts";
import { GlimtError } from "../../errors.ts";
import type { CheckpointFiles } from "../files.ts";
import type { WeightFile } from "../shards.ts";
import type { CheckpointTensor } from "../stored-weight.ts";
import type { GgufFile } from "./container.ts";
import { type ModelFiles, type NamedFile, readParts } from "./find.ts";
import { ggufProcessor } from "./processor-config.ts";
import { type GgufText, ggufText, mediaTokens } from "./text-config.ts";
import { textTensors } from "./text-tensors.ts";
import { type GgufTokenizer, ggufTokenizer } from "./tokenizer.ts";
import { absentTower, type GgufVision, ggufVision } from "./vision-config.ts";
import { visionTensors } from "./vision-tensors.ts";

export interface GgufCheckpoint {
  /** In place of configuration files: what they would say, by their names. */
  readonly files: CheckpointFiles;
  readonly weightFiles: readonly WeightFile[];
  /** By published name. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Widths that shapes have and no configuration file says. */
  readonly widths: Partial<VisionConfig>;
  /** Why it reads no pictures; null where it does. */
  readonly textOnly: string | null;
  /** What was not in the files, in sentences. */
  readonly notes: readonly string[];
}

/** @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID, CONFIG_INVALID, MODEL_UNSUPPORTED, TOKENIZER_INVALID, ABORTED */
export async function openGguf({ text, tower }: ModelFiles, signal?: AbortSignal): Promise<GgufCheckpoint> {
  const parts = await readParts(text, signal);
  // The first part has the keys.
  const file = joined(parts);
  const model = ggufText(file);
  const towerParts = tower ? await readParts(tower, signal) : [];
  const towerFile = tower ? joined(towerParts) : null;
  const vision = towerFile ? ggufVision(towerFile) : null;
  if (vision && towerFile) checkFits(model, file.name, vision, towerFile.name);
  const textOnly = reasonOfTextOnly(model, file.name, vision);
  const tokenizer = ggufTokenizer(model.values, file.name, model.vocabSize);
  const configJson = modelJson(model, tokenizer, vision, file.name);
  const { patch_size, temporal_patch_size, spatial_merge_size } = vision?.json ?? absentTower(0);
  const sizes = {
    patchSize: patch_size as number,
    temporalPatchSize: temporal_patch_size as number,
    mergeSize: spatial_merge_size as number,
  };
  const names = ["general.name", "general.basename", "general.base_model.0.name"].flatMap(
    (key) => model.values.text(key) ?? [],
  );
  const isOcr = familyOf(model) === "glm_ocr";
  const processor = ggufProcessor(vision, sizes, isOcr, [...names, file.name]);
  const source = (tensors: GgufFile["tensors"], files: CheckpointFiles) =>
    tensors.map((tensor) => ({ ...tensor, files }));
  const tensors = new Map([
    ...textTensors(source(file.tensors, text.files), model.layout),
    ...(tower && towerFile && textOnly === null ? visionTensors(source(towerFile.tensors, tower.files)) : []),
  ]);
  const documents = new Map<string, unknown>([
    ["config.json", configJson],
    ["generation_config.json", generationJson(model, tokenizer)],
    ["processor_config.json", processor.json],
    ["tokenizer.json", tokenizer.tokenizerJson],
    ["tokenizer_config.json", tokenizer.configJson],
    ["chat_template.jinja", model.values.text("tokenizer.chat_template")],
  ]);
  return {
    files: documentFiles(text, documents),
    weightFiles: [...parts, ...towerParts].map(({ name, bytes }) => ({ name, bytes })),
    tensors,
    widths: vision?.widths ?? {},
    textOnly,
    notes: processor.notes,
  };
}

function joined(parts: readonly GgufFile[]): GgufFile {
  const [first] = parts as [GgufFile];
  return { ...first, tensors: parts.flatMap(({ tensors }) => tensors) };
}

/** Nothing in a file names the Hugging Face class; of the dense decoders GLM-OCR's has no biases. */
function familyOf({ architecture, hasBias }: GgufText): string {
  if (architecture === "glm4moe") return "glm4v_moe";
  return hasBias ? "glm4v" : "glm_ocr";
}

const CLASSES: Readonly<Record<string, string>> = {
  glm4v: "Glm4vForConditionalGeneration",
  glm_ocr: "GlmOcrForConditionalGeneration",
  glm4v_moe: "Glm4vMoeForConditionalGeneration",
};

function modelJson(model: GgufText, tokenizer: GgufTokenizer, vision: GgufVision | null, file: string) {
  const family = familyOf(model);
  return {
    model_type: family,
    architectures: [CLASSES[family]],
    tie_word_embeddings: model.isTied,
    ...mediaTokens(tokenizer, file),
    text_config: { ...model.json, model_type: `${family}_text` },
    vision_config: vision?.json ?? absentTower(model.hiddenSize),
  };
}

function generationJson({ values }: GgufText, { endIds, padId }: GgufTokenizer): object {
  const sampling = {
    temperature: "general.sampling.temp",
    top_p: "general.sampling.top_p",
    repetition_penalty: "general.sampling.penalty_repeat",
  };
  const numbers = Object.entries(sampling).flatMap(([key, name]) =>
    values.has(name) ? [[key, values.number(name)] as const] : [],
  );
  const topK = "general.sampling.top_k";
  return {
    eos_token_id: endIds,
    pad_token_id: padId ?? null,
    ...Object.fromEntries(numbers),
    ...(values.has(topK) && { top_k: values.count(topK, 0) }),
    do_sample: numbers.length > 0 || values.has(topK),
  };
}

/** @throws CHECKPOINT_INVALID for the tower of another model */
function checkFits(model: GgufText, textFile: string, vision: GgufVision, towerFile: string): void {
  const wrong = (what: string) =>
    new GlimtError("CHECKPOINT_INVALID", `${towerFile} is the vision tower of another model: ${what}.`);
  if (vision.outHiddenSize !== model.hiddenSize) {
    throw wrong(`its features have ${vision.outHiddenSize} columns, ${textFile} takes ${model.hiddenSize}`);
  }
  const isOcr = familyOf(model) === "glm_ocr";
  if (vision.isOcr === isOcr) return;
  const [ocr, other] = isOcr ? [textFile, towerFile] : [towerFile, textFile];
  throw wrong(`${ocr} is of GLM-OCR, ${other} of another family`);
}

function reasonOfTextOnly(model: GgufText, file: string, vision: GgufVision | null): string | null {
  if (!model.hasSections) {
    return `${file} was made by a converter for text alone: it does not say how positions of pictures are divided (${model.architecture}.rope.dimension_sections). Convert the checkpoint anew, or take another file.`;
  }
  if (vision) return null;
  return `${file} is the language model alone: give its vision tower (a file called mmproj-...) with the option mmproj.`;
}

/** Files of which the small ones are values. */
function documentFiles({ files, name }: NamedFile, documents: ReadonlyMap<string, unknown>): CheckpointFiles {
  return {
    location: `${files.location}/${name}`,
    document: (file) => documents.get(file) ?? null,
    size: async () => null,
    readAll: async () => null,
    readInto: (file, offset, into, signal) => files.readInto(file, offset, into, signal),
  };
}
