/** What every entry exports beside its own loadModel: the parts that users and tests need. */

export type { CacheOptions, PulledModel, PullOptions } from "./api/hub-models.ts";
export type { KeptPart } from "./api/kept-weights.ts";
export type { LoadOptions } from "./api/load-options.ts";
export type {
  LoadAdapterOptions,
  LoadedWeights,
  Model,
  ModelBackend,
  PlannedSizes,
  Prompt,
  SaveSessionOptions,
  TokenizeOptions,
} from "./api/model.ts";
export type { ProcessorOptions } from "./api/open-processor.ts";
export type { DeviceOptions, EncoderParallel, ParallelOptions } from "./api/parallel-options.ts";
export type { QuantizedModel, QuantizeOptions, QuantizeProgress } from "./api/quantize-model.ts";
export type { BackendName, BackendProbe, EngineReport, Probe, WasmVariant } from "./backends/backend.ts";
export type { GroupLink } from "./backends/group/link.ts";
export type { Checkpoint, OpenOptions } from "./checkpoint/checkpoint.ts";
export {
  type CheckpointDescription,
  type CheckpointPart,
  describeCheckpoint,
  type TensorTotals,
  type Totals,
} from "./checkpoint/describe.ts";
export type { CheckpointFiles, FileRange } from "./checkpoint/files.ts";
export type { CachedModel, CachedRevision } from "./checkpoint/hub/cache.ts";
export type { HubOptions } from "./checkpoint/hub/options.ts";
export type { DownloadProgress } from "./checkpoint/hub/progress.ts";
export type { ModelLocation, OpenFilesOptions } from "./checkpoint/location.ts";
export type { ModelPart } from "./checkpoint/module-map.ts";
export type { Aside } from "./checkpoint/names.ts";
export type { WeightFile } from "./checkpoint/shards.ts";
export type {
  CheckpointTensor,
  StoredWeight,
  TensorFacts,
  UnreadableTensor,
} from "./checkpoint/stored-weight.ts";
export type { Conversion, StorageLoss, StorageTotals } from "./checkpoint/tensor-storage.ts";
export type {
  Family,
  GenerationDefaults,
  ImageProcessorConfig,
  ModelConfig,
  MoeConfig,
  ProcessorConfig,
  ProcessorKind,
  RopePairs,
  RopeScaling,
  SpecialTokens,
  TextConfig,
  TextRopeConfig,
  VideoSamplingConfig,
  VisionConfig,
} from "./config/types.ts";
export { type ErrorCode, GlimtError } from "./errors.ts";
export type { MediaMode } from "./media/decode-image.ts";
export type { FileSource, ImageSource, RawImage } from "./media/source.ts";
export {
  PUBLIC_SOURCES,
  type SourceDescription,
  type SourceList,
  type Sources,
} from "./media/sources/source-rule.ts";
export type { VideoFrames, VideoMetadata, VideoMetadataJson, VideoSource } from "./media/video-source.ts";
export {
  type MropeOptions,
  type MropePositions,
  mropePositions,
  type PositionIds,
} from "./mrope/positions.ts";
export { imageSizeWithMostFeatures, numConnectorTokens, numEncoderTokens } from "./processor/budgets.ts";
export type { GridThw } from "./processor/grid.ts";
export type { VideoLayout } from "./processor/placeholders.ts";
export type { Rounding } from "./processor/resample-weights.ts";
export { type ResizeOptions, resizeBicubic } from "./processor/resize.ts";
export {
  type SampledFrames,
  type SamplingOptions,
  sampleVideoFrames,
  type VideoTiming,
} from "./processor/sampling.ts";
export { imageSize, type VisionSize, videoSize } from "./processor/sizes.ts";
export { type SmartResizeOptions, smartResize } from "./processor/smart-resize.ts";
export {
  type RgbaImage,
  type UnpatchifyConfig,
  type UnpatchifyOptions,
  unpatchify,
  unpatchifyBand,
} from "./processor/unpatchify.ts";
export type { Communication } from "./program/communication.ts";
export { attentionOverMedia, type MediaAttention } from "./prompt/attention-over-media.ts";
export type { RowSpan } from "./prompt/layout.ts";
export type { ImageEmbeddings, VideoEmbeddings } from "./prompt/media-embeddings.ts";
export type { MediaOptions } from "./prompt/media-options.ts";
export type {
  Message,
  MessagePart,
  ProcessOptions,
  PromptImage,
  PromptVideo,
  PromptVideoMetadata,
} from "./prompt/process-options.ts";
export type {
  MediaFacts,
  MediaSourceFacts,
  ProcessedInputs,
  ProcessedMedia,
  TakenFrames,
} from "./prompt/processed-inputs.ts";
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
export type { ReadOptions, ReadVideoOptions } from "./prompt/video-choices.ts";
export type { EmbeddedItem, EncoderItem, NamedItem, VisionItem } from "./prompt/vision-items.ts";
export type { KvCacheSize, LoadMemory } from "./runtime/device-memory.ts";
export type { EncoderCacheFigures } from "./runtime/encoder-cache.ts";
export type { PrefixFigures } from "./runtime/kv-pool.ts";
export type { LoadProgress } from "./runtime/open-stages.ts";
export type { RankPlan } from "./runtime/rank-plan.ts";
export type { RequestPlan } from "./runtime/request-plan.ts";
export type { AdapterAtLoad, AdapterChoice, AdapterSource } from "./serving/adapter-options.ts";
export type { AdapterFacts } from "./serving/adapters.ts";
export type { EncodeOptions } from "./serving/encode-media.ts";
export type { GenerateOptions } from "./serving/generation-options.ts";
export type {
  FinishReason,
  GeneratedPiece,
  PromptUsage,
  RequestResult,
} from "./serving/generation-result.ts";
export type { RepetitionDetection } from "./serving/repetition.ts";
export type { GenerationRun } from "./serving/run.ts";
export type {
  GenerationChoice,
  GenerationEvent,
  GenerationResult,
  ReasoningEvent,
  TextEvent,
  TokenEvent,
  ToolCallEvent,
} from "./serving/run-result.ts";
export type { RestoreSessionOptions, SessionFacts, SessionProgress } from "./serving/session/session.ts";
export type { GenerationTimings } from "./serving/stage-clock.ts";
export type { ModelStatistics } from "./serving/statistics.ts";
export type { StructuredOptions, Structures } from "./serving/structured-options.ts";
export type { RankedToken, TokenLogprob } from "./serving/token-logprobs.ts";
export type { TokenOptions } from "./serving/token-options.ts";
export type { ToolChoice } from "./serving/tool-choice.ts";
export type { MadeBlockFormat } from "./tensor/blocks.ts";
export type { CacheDType, DType, TensorDType, WeightDType } from "./tensor/dtype.ts";
export type { RoundedFormat, WeightFormat } from "./tensor/storage.ts";
export type { AnsweredCall } from "./text/answer/answer-parser.ts";
export type { ReasoningPart, TextPartOfAnswer, ToolCallDelta, ToolCallPart } from "./text/answer/parts.ts";
export type {
  ChatMessage,
  ContentPart,
  ImagePart,
  ImageUrlPart,
  KnownPart,
  LinkedImage,
  LinkedPart,
  LinkedVideo,
  MediaName,
  TextPart,
  ToolCall,
  VideoChoices,
  VideoPart,
  VideoUrlPart,
} from "./text/messages.ts";
export type { DecodeOptions, EncodeTextOptions, Tokenizer } from "./text/tokenizer.ts";
