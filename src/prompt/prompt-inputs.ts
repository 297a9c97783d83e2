/** The tensors that a prompt may be given as, each described once, and what the decoder reads of them. */
import type { ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { copiedLists, isList, readFields, readOnce, readPlain, shown } from "../given.ts";
import { type PositionIds, textPositions } from "../mrope/positions.ts";
import { type GridThw, numMergedTokens, numPatches } from "../processor/grid.ts";
import { mmTokenTypeIds } from "../processor/placeholders.ts";
import { checkTensors, type KnownSize, type TensorSchema } from "../tensor/schema.ts";
import { type TextParameters, textParameters } from "../text/answer/tool-schemas.ts";
import { checkedUuid } from "../text/messages.ts";
import { readTools } from "../text/tool-data.ts";
import { layOutPrompt, type PlacedMedia, type PromptLayout } from "./layout.ts";
import { checkGrid } from "./media-embeddings.ts";
import {
  type EmbeddedItem,
  type EncoderItem,
  patchElements,
  selectEncoderItems,
  type VisionItem,
} from "./vision-items.ts";

/**
 * A prompt as token ids and tensors. What `process` returns is one; a caller may also make them, and leave out all
 * but `inputIds` and the pixels or embeddings with their grids.
 */
export interface PromptInputs {
  /** (s): token ids, one a feature where pictures stand. */
  readonly inputIds: readonly number[];
  /** (s): 0 text, 1 image, 2 video; default: by the special tokens. */
  readonly mmTokenTypeIds?: readonly number[] | undefined;
  /** (3, s); default: by tokens and grids. */
  readonly positionIds?: PositionIds | undefined;
  /** Largest position + 1 - s; default: by the positions. */
  readonly ropeDelta?: number | undefined;
  /** (n, 3): patch grids in prompt order. */
  readonly imageGridThw?: readonly GridThw[] | undefined;
  /** The same of videos. */
  readonly videoGridThw?: readonly GridThw[] | undefined;
  /** (np, cpp): np patches of all images, cpp = channels * temporal * patch² values each. */
  readonly pixelValues?: Float32Array | null | undefined;
  /** (np, ctpp): np patches of all videos. */
  readonly pixelValuesVideos?: Float32Array | null | undefined;
  /** (f, h): features of all images in place of pixelValues. */
  readonly imageEmbeddings?: Float32Array | null | undefined;
  /** (f, h): features of all videos in place of pixelValuesVideos. */
  readonly videoEmbeddings?: Float32Array | null | undefined;
  /** Images and videos in prompt order, each by itself; used in place of the four fields before when given. */
  readonly visionItems?: readonly VisionItem[] | undefined;
  /** The functions that the prompt offers, as `process` takes them: calls of them are found in the answer. */
  readonly tools?: readonly object[] | string | null | undefined;
}

/** A prompt as embeddings instead of token ids. */
export interface EmbeddedPrompt {
  /** f32 (s, h), row-major: one row a token, h the model's hidden size. */
  readonly promptEmbeddings: Float32Array;
  /** (3, s); default: those of text, 0, 1, 2, ... */
  readonly positionIds?: PositionIds | undefined;
  /** Largest position + 1 - s; default: by the positions. */
  readonly ropeDelta?: number | undefined;
}

/** What generation reads of a prompt, checked and complete. */
export interface DecoderPrompt {
  readonly layout: PromptLayout;
  /** Tokens that a repetition penalty counts: none are known of a prompt of embeddings. */
  readonly history: readonly number[];
  /** Their features, one after another, are the layout's. */
  readonly visionItems: readonly VisionItem[];
  /** Of the functions that it offers, when it offers some. */
  readonly tools?: TextParameters;
  /** The functions themselves, as they were given. */
  readonly toolSchemas?: readonly object[] | string;
}

/** @throws INPUT_INVALID naming the field, the dimension, what was expected and what was found. */
export function decoderPrompt(given: PromptInputs | EmbeddedPrompt, config: ModelConfig): DecoderPrompt {
  const prompt = readPrompt(given);
  return "promptEmbeddings" in prompt ? embeddedPrompt(prompt, config) : tokenPrompt(prompt, config);
}

const FIELDS = [
  "visionItems",
  "promptEmbeddings",
  "inputIds",
  "mmTokenTypeIds",
  "positionIds",
  "ropeDelta",
  "imageGridThw",
  "videoGridThw",
  "pixelValues",
  "pixelValuesVideos",
  "imageEmbeddings",
  "videoEmbeddings",
  "tools",
] as const;
const NESTED: readonly string[] = ["positionIds", "imageGridThw", "videoGridThw"];
const WITH_ITEMS: readonly string[] = [
  "pixelValues",
  "pixelValuesVideos",
  "imageEmbeddings",
  "videoEmbeddings",
];
const EMBEDDED_FIELDS: readonly string[] = ["promptEmbeddings", "positionIds", "ropeDelta"];
/** What `process` says beside them. */
const OTHER_FIELDS = ["promptText", "promptTokens", "media", "milliseconds"];

/** Each field read once, lists copied: what is checked is what is used. */
function readPrompt(given: PromptInputs | EmbeddedPrompt): PromptInputs | EmbeddedPrompt {
  const known: readonly string[] = [...FIELDS, ...OTHER_FIELDS];
  const unknown = readOnce("prompt", () => Object.keys(given)).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new GlimtError("INPUT_INVALID", `A prompt has no ${shown(unknown)}; it has ${FIELDS.join(", ")}.`);
  }
  const prompt: Record<string, unknown> = {};
  for (const name of FIELDS) {
    // Joining the pixels of the items would cost a copy that nobody reads.
    if (prompt.visionItems !== undefined && WITH_ITEMS.includes(name)) continue;
    const value: unknown = readOnce(name, () => (given as unknown as Record<string, unknown>)[name]);
    if (value === undefined || value === null) continue;
    if (name === "tools") {
      prompt.tools = readPlain(value, name);
      continue;
    }
    const isFlat = WITH_ITEMS.includes(name) || name === "promptEmbeddings";
    prompt[name] =
      isFlat || !isList(value, name) ? value : copiedLists(value, name, NESTED.includes(name) ? 2 : 1);
  }
  const beside = Object.keys(prompt).find((name) => !EMBEDDED_FIELDS.includes(name));
  if (prompt.promptEmbeddings !== undefined && beside !== undefined) {
    throw new GlimtError(
      "INPUT_INVALID",
      `promptEmbeddings are the whole prompt: ${beside} beside them would have no effect; leave it out.`,
    );
  }
  return prompt as unknown as PromptInputs | EmbeddedPrompt;
}

function embeddedPrompt(prompt: EmbeddedPrompt, { text }: ModelConfig): DecoderPrompt {
  const { promptEmbeddings } = prompt;
  const schema: TensorSchema = {
    promptEmbeddings: { shape: "s h", values: "float" },
    positionIds: { shape: "3 s", values: "integer", min: 0 },
  };
  const hidden = { size: text.hiddenSize, from: "the model's hidden size" };
  const { s } = checkTensors(schema, prompt, { h: hidden });
  const length = s?.size ?? 0;
  const positionIds = prompt.positionIds ?? textPositions(0, length, 0);
  const ropeDelta = ropeDeltaOf(prompt, positionIds);
  // Every row is a feature, and none of a picture.
  const features = Int32Array.from({ length }, (_, row) => row);
  return {
    layout: { inputIds: new Array<number>(length).fill(0), positionIds, ropeDelta, features, media: [] },
    history: [],
    visionItems: length === 0 ? [] : [{ embeddings: promptEmbeddings }],
  };
}

function tokenPrompt(prompt: PromptInputs, config: ModelConfig): DecoderPrompt {
  const { spatialMergeSize } = config.vision;
  checkTensors(tokenSchema(config), prompt);
  const { inputIds } = prompt;
  if (!inputIds) throw new GlimtError("INPUT_INVALID", "inputIds is missing.");
  const [imageGridThw, videoGridThw] = [prompt.imageGridThw ?? [], prompt.videoGridThw ?? []];
  if (config.textOnly !== null && imageGridThw.length + videoGridThw.length > 0) {
    throw new GlimtError("MODEL_UNSUPPORTED", config.textOnly);
  }
  for (const [name, grids] of Object.entries({ imageGridThw, videoGridThw })) {
    grids.forEach((grid, index) => {
      checkGrid(`${name}[${index}]`, grid, spatialMergeSize);
    });
  }
  const types = prompt.mmTokenTypeIds ?? mmTokenTypeIds(inputIds, config.tokens);
  // Also holds tokens and grids against each other, so it runs when positions are given too.
  const reckoned = layOutPrompt(inputIds, types, { imageGridThw, videoGridThw, spatialMergeSize });
  const positionIds = prompt.positionIds ?? reckoned.positionIds;
  const layout = { ...reckoned, positionIds, ropeDelta: ropeDeltaOf(prompt, positionIds) };
  const tools = readTools(prompt.tools ?? undefined) ?? [];
  return {
    layout,
    history: inputIds,
    visionItems: visionItems(prompt, layout.media, config),
    ...(tools.length > 0 && { tools: textParameters(tools), toolSchemas: prompt.tools ?? [] }),
  };
}

function tokenSchema({ text }: ModelConfig): TensorSchema {
  return {
    inputIds: { shape: "s", values: "integer", min: 0, max: text.vocabSize - 1 },
    mmTokenTypeIds: { shape: "s", values: "integer", min: 0, max: 2 },
    positionIds: { shape: "3 s", values: "integer", min: 0 },
    imageGridThw: { shape: "ni 3", values: "integer", min: 1 },
    videoGridThw: { shape: "nv 3", values: "integer", min: 1 },
  };
}

interface Modality {
  readonly pixels: "pixelValues" | "pixelValuesVideos";
  readonly embeddings: "imageEmbeddings" | "videoEmbeddings";
  readonly grids: "imageGridThw" | "videoGridThw";
  /** As the schema spells a patch's values. */
  readonly patch: "cpp" | "ctpp";
}

const MODALITIES: Readonly<Record<PlacedMedia["type"], Modality>> = {
  image: { pixels: "pixelValues", embeddings: "imageEmbeddings", grids: "imageGridThw", patch: "cpp" },
  video: { pixels: "pixelValuesVideos", embeddings: "videoEmbeddings", grids: "videoGridThw", patch: "ctpp" },
};

function visionItems(prompt: PromptInputs, media: readonly PlacedMedia[], config: ModelConfig): VisionItem[] {
  if (prompt.visionItems) return checkedItems(prompt.visionItems, media, config);
  const items = {
    image: itemsOf(prompt, MODALITIES.image, config).values(),
    video: itemsOf(prompt, MODALITIES.video, config).values(),
  };
  return media.map(({ type }) => items[type].next().value as VisionItem);
}

/** Items of one modality from its pixels or embeddings, split by its grids. */
function itemsOf(
  prompt: PromptInputs,
  { pixels, embeddings, grids, patch }: Modality,
  config: ModelConfig,
): VisionItem[] {
  const gridThw = prompt[grids] ?? [];
  const [pixelValues, features] = [prompt[pixels] ?? null, prompt[embeddings] ?? null];
  if (pixelValues && features) {
    throw new GlimtError("INPUT_INVALID", `${pixels} and ${embeddings} exclude each other; give one.`);
  }
  const tokens = gridThw.map((grid) => numMergedTokens(grid, config.vision.spatialMergeSize));
  if (features) {
    const hidden = config.text.hiddenSize;
    checkTensors(
      { [embeddings]: { shape: "f h", values: "float" } },
      { [embeddings]: features },
      { f: known(sum(tokens), grids), h: known(hidden, "the model's hidden size") },
    );
    let row = 0;
    return tokens.map((count) => {
      const part = features.subarray(row * hidden, (row + count) * hidden);
      row += count;
      return { embeddings: part };
    });
  }
  if (!pixelValues) {
    if (gridThw.length === 0) return [];
    throw new GlimtError(
      "INPUT_INVALID",
      `${grids} has ${gridThw.length} grids, but there are neither ${pixels} nor ${embeddings}.`,
    );
  }
  checkTensors(
    { [pixels]: { shape: `np ${patch}`, values: "float" } },
    { [pixels]: pixelValues },
    {
      np: known(sum(gridThw.map(numPatches)), grids),
      [patch]: known(patchElements(config.vision), "the model's patches"),
    },
  );
  return selectEncoderItems({ pixelValues, gridThw }, [...gridThw.keys()]);
}

/** Items that were given one by one, held against the grids of their tokens. */
function checkedItems(
  items: readonly VisionItem[],
  media: readonly PlacedMedia[],
  config: ModelConfig,
): VisionItem[] {
  if (!Array.isArray(items)) throw new GlimtError("INPUT_INVALID", "visionItems must be a list.");
  if (items.length !== media.length) {
    throw new GlimtError(
      "INPUT_INVALID",
      `visionItems has ${items.length} items, expected ${media.length} (from imageGridThw and videoGridThw).`,
    );
  }
  const read = items.map((item, index) => readItem(item, `visionItems[${index}]`));
  read.forEach((item, index) => {
    const { gridThw: grid, numFeatures } = media[index] as PlacedMedia;
    const complaint = itemComplaint(item, grid);
    if (complaint) throw new GlimtError("INPUT_INVALID", `visionItems[${index}]${complaint}.`);
    const [field, value, rows, columns] =
      "embeddings" in item
        ? (["embeddings", item.embeddings, numFeatures, config.text.hiddenSize] as const)
        : (["pixelValues", item.pixelValues, numPatches(grid), patchElements(config.vision)] as const);
    const name = `visionItems[${index}].${field}`;
    const [first, last] = field === "embeddings" ? ["f", "h"] : ["np", "cpp"];
    checkTensors(
      { [name]: { shape: `${first} ${last}`, values: "float" } },
      { [name]: value },
      {
        [first as string]: known(rows, `grid ${grid.join(" x ")}`),
        [last as string]: known(columns, "the model"),
      },
    );
  });
  return read;
}

function readItem(item: VisionItem, name: string): VisionItem {
  if (typeof item !== "object" || item === null) return item;
  const { uuid, labels, ...fields } = readFields(item as EmbeddedItem & EncoderItem, name, [
    "embeddings",
    "pixelValues",
    "gridThw",
    "uuid",
    "labels",
  ]);
  const gridThw = copiedLists(fields.gridThw, `${name}.gridThw`) as GridThw;
  const named = {
    ...(uuid !== undefined && { uuid: checkedUuid(uuid, `${name}.uuid`) }),
    ...(labels && { labels: readLabels(labels, `${name}.labels`) }),
  };
  if (readOnce(name, () => "embeddings" in item)) {
    return { embeddings: fields.embeddings, ...named, ...(uuid !== undefined && gridThw && { gridThw }) };
  }
  return { ...fields, gridThw, ...named };
}

function readLabels(given: unknown, name: string): readonly string[] {
  const labels = copiedLists(given, name);
  if (Array.isArray(labels) && labels.every((label) => typeof label === "string")) return labels;
  throw new GlimtError("INPUT_INVALID", `${name} must be a list of timestamp texts.`);
}

/** What is wrong with an item beside the number of its values; null when nothing is. */
function itemComplaint(item: VisionItem, grid: GridThw): string | null {
  if (typeof item !== "object" || item === null) {
    return ` is ${shown(item)}, expected an object with pixelValues or embeddings`;
  }
  const given: unknown = item.gridThw;
  if ("embeddings" in item) {
    if (!item.embeddings) return ".embeddings is missing";
    if (given === undefined) return null;
  } else if (!item.pixelValues) return ".pixelValues is missing";
  // Another grid of as many patches may give fewer features than its tokens take.
  const [found, expected] = [
    Array.isArray(given) ? given.map(shown).join(" x ") : shown(given),
    grid.join(" x "),
  ];
  if (found !== expected) return `.gridThw is ${found}, expected ${expected}, the grid of its tokens`;
  if (!item.labels || item.labels.length === grid[0]) return null;
  return `.labels has ${item.labels.length} texts, expected ${grid[0]}, one a temporal patch`;
}

function ropeDeltaOf(
  { ropeDelta }: { readonly ropeDelta?: number | undefined },
  positionIds: PositionIds,
): number {
  if (ropeDelta === undefined || ropeDelta === null) return deltaOf(positionIds);
  if (Number.isInteger(ropeDelta)) return ropeDelta;
  throw new GlimtError("INPUT_INVALID", `ropeDelta is ${shown(ropeDelta)}, expected a whole number.`);
}

function deltaOf(positionIds: PositionIds): number {
  const length = positionIds[0].length;
  let largest = -1;
  for (const axis of positionIds) for (const position of axis) largest = Math.max(largest, position);
  return largest + 1 - length;
}

function known(size: number, from: string): KnownSize {
  return { size, from };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
