/** What every entry exports beside its own loadModel: the parts that users and tests need. */
export type { BackendName } from "./backends/backend.ts";
export { type Checkpoint, openCheckpoint } from "./checkpoint/checkpoint.ts";
export { type CheckpointDescription, describeCheckpoint } from "./checkpoint/describe.ts";
export type { CheckpointFiles } from "./checkpoint/files.ts";
export type { ModelConfig, ProcessorConfig, ProcessorKind } from "./config/types.ts";
export { type ErrorCode, GlimtError } from "./errors.ts";
export type { MediaMode } from "./media/decode-image.ts";
export type { FileSource, ImageSource, RawImage } from "./media/source.ts";
export type { VideoFrames, VideoMetadata, VideoSource } from "./media/video-source.ts";
export {
  type MropeOptions,
  type MropePositions,
  mropePositions,
  type PositionIds,
} from "./mrope/positions.ts";
export { imageSizeWithMostFeatures, numConnectorTokens, numEncoderTokens } from "./processor/budgets.ts";
export type { GridThw } from "./processor/grid.ts";
export type { Rounding } from "./processor/resample-weights.ts";
export { resizeBicubic } from "./processor/resize.ts";
export { type SampledFrames, sampleVideoFrames, type VideoTiming } from "./processor/sampling.ts";
export { imageSize, type VisionSize, videoSize } from "./processor/sizes.ts";
export { smartResize } from "./processor/smart-resize.ts";
export type { AdapterAtLoad, AdapterChoice, AdapterSource } from "./runtime/adapter-options.ts";
export type { AdapterFacts } from "./runtime/adapters.ts";
export type { KvCacheSize, LoadMemory } from "./runtime/device-memory.ts";
export type { EncodeOptions } from "./runtime/encode-media.ts";
export type { EmbeddedItem, EncoderItem, VisionItem } from "./runtime/encoder-batch.ts";
export type {
  FinishReason,
  GeneratedPiece,
  GenerationResult,
  GenerationTimings,
} from "./runtime/generate.ts";
export type { GenerateOptions, GenerateProgress } from "./runtime/generation-options.ts";
export type { LoadOptions } from "./runtime/load-model.ts";
export type { ImageEmbeddings, VideoEmbeddings } from "./runtime/media-embeddings.ts";
export type { MediaOptions } from "./runtime/media-options.ts";
export type { LoadedWeights, Model, Prompt } from "./runtime/model.ts";
export type { LoadProgress } from "./runtime/open-stages.ts";
export type { ModelLocation } from "./runtime/platform.ts";
export type {
  Message,
  MessagePart,
  ProcessedInputs,
  ProcessOptions,
  Processor,
} from "./runtime/processor.ts";
export type { EmbeddedPrompt, PromptInputs } from "./runtime/prompt-inputs.ts";
export type {
  CountedVideo,
  ImageDims,
  RequestCounts,
  RequestSizes,
  VideoDims,
} from "./runtime/request-counts.ts";
export type { RequestPlan } from "./runtime/request-plan.ts";
export type { RequestSizer } from "./runtime/request-sizer.ts";
export type { WeightDType } from "./tensor/dtype.ts";
