/** What every entry exports beside its own loadModel: the parts that users and tests need. */

export type { CacheOptions, PulledModel, PullOptions } from "./api/hub-models.ts";
export type { KeptPart } from "./api/kept-weights.ts";
export type { LoadOptions } from "./api/load-options.ts";
export type {
  LoadAdapterOptions,
  LoadedWeights,
  Model,
  ModelBackend,
  Prompt,
  SaveSessionOptions,
} from "./api/model.ts";
export type { DeviceOptions, EncoderParallel, ParallelOptions } from "./api/parallel-options.ts";
export type { QuantizedModel, QuantizeOptions, QuantizeProgress } from "./api/quantize-model.ts";
export type { BackendName, EngineReport, WasmVariant } from "./backends/backend.ts";
export type { GroupLink } from "./backends/group/link.ts";
export { type Checkpoint, openCheckpoint } from "./checkpoint/checkpoint.ts";
export { type CheckpointDescription, describeCheckpoint } from "./checkpoint/describe.ts";
export type { CheckpointFiles } from "./checkpoint/files.ts";
export type { CachedModel, CachedRevision } from "./checkpoint/hub/cache.ts";
export type { HubOptions } from "./checkpoint/hub/options.ts";
export type { DownloadProgress } from "./checkpoint/hub/progress.ts";
export type { ModelLocation } from "./checkpoint/location.ts";
export type { ModelConfig, ProcessorConfig, ProcessorKind } from "./config/types.ts";
export { type ErrorCode, GlimtError } from "./errors.ts";
export type { MediaMode } from "./media/decode-image.ts";
export type { FileSource, ImageSource, RawImage } from "./media/source.ts";
export {
  PUBLIC_SOURCES,
  type SourceDescription,
  type SourceList,
  type Sources,
} from "./media/sources/source-rule.ts";
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
export type { Communication } from "./program/communication.ts";
export type { ImageEmbeddings, VideoEmbeddings } from "./prompt/media-embeddings.ts";
export type { MediaOptions } from "./prompt/media-options.ts";
export type { Message, MessagePart, ProcessOptions } from "./prompt/process-options.ts";
export type { ProcessedInputs } from "./prompt/processed-inputs.ts";
export type { Processor } from "./prompt/processor.ts";
export type { GenerateProgress } from "./prompt/progress.ts";
export type { EmbeddedPrompt, PromptInputs } from "./prompt/prompt-inputs.ts";
export type {
  CountedVideo,
  ImageDims,
  RequestCounts,
  RequestSizes,
  VideoDims,
} from "./prompt/request-counts.ts";
export type { RequestSizer } from "./prompt/request-sizer.ts";
export type { EmbeddedItem, EncoderItem, VisionItem } from "./prompt/vision-items.ts";
export type { KvCacheSize, LoadMemory } from "./runtime/device-memory.ts";
export type { LoadProgress } from "./runtime/open-stages.ts";
export type { RankPlan } from "./runtime/rank-plan.ts";
export type { RequestPlan } from "./runtime/request-plan.ts";
export type { AdapterAtLoad, AdapterChoice, AdapterSource } from "./serving/adapter-options.ts";
export type { AdapterFacts } from "./serving/adapters.ts";
export type { EncodeOptions } from "./serving/encode-media.ts";
export type { GenerateOptions } from "./serving/generation-options.ts";
export type { FinishReason } from "./serving/generation-result.ts";
export type { RepetitionDetection } from "./serving/repetition.ts";
export type { GenerationRun } from "./serving/run.ts";
export type {
  GenerationChoice,
  GenerationEvent,
  GenerationResult,
  ReasoningEvent,
  TextEvent,
  ToolCallEvent,
} from "./serving/run-result.ts";
export type { RestoreSessionOptions, SessionFacts, SessionProgress } from "./serving/session/session.ts";
export type { GenerationTimings } from "./serving/stage-clock.ts";
export type { ModelStatistics } from "./serving/statistics.ts";
export type { StructuredOptions } from "./serving/structured-options.ts";
export type { RankedToken, TokenLogprob } from "./serving/token-logprobs.ts";
export type { TokenOptions } from "./serving/token-options.ts";
export type { ToolChoice } from "./serving/tool-choice.ts";
export type { WeightDType } from "./tensor/dtype.ts";
export type { WeightFormat } from "./tensor/storage.ts";
export type { AnsweredCall } from "./text/answer/answer-parser.ts";
export type { ToolCallDelta } from "./text/answer/parts.ts";
export type { KnownPart } from "./text/messages.ts";
