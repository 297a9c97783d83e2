/**
 * What the AI SDK asks of a language model: the parts that glimt speaks of version 4 of its provider contract. Types of our
 * own, so that the published ones need no package beside glimt; `test/ai/contract` holds them against `@ai-sdk/provider`.
 */

export type JsonValue =
  | null
  | string
  | number
  | boolean
  | { [key: string]: JsonValue | undefined }
  | JsonValue[];
export type JsonObject = { [key: string]: JsonValue | undefined };

/** By the name of a provider; glimt's is `glimt`. */
export type ProviderOptions = Record<string, Readonly<Record<string, unknown>>>;

/** Of a file in the prompt. */
export type FileData =
  | { type: "data"; data: Uint8Array | string }
  | { type: "url"; url: URL }
  | { type: "reference"; reference: Record<string, string> }
  | { type: "text"; text: string };

interface Optioned {
  providerOptions?: ProviderOptions | undefined;
}

export interface TextPart extends Optioned {
  type: "text";
  text: string;
}

export interface FilePart extends Optioned {
  type: "file";
  filename?: string | undefined;
  data: FileData;
  mediaType: string;
}

export interface ReasoningPart extends Optioned {
  type: "reasoning";
  text: string;
}

export interface ToolCallPart extends Optioned {
  type: "tool-call";
  toolCallId: string;
  toolName: string;
  input: unknown;
}

export interface ToolResultPart extends Optioned {
  type: "tool-result";
  toolCallId: string;
  toolName: string;
  output: ToolOutput;
}

/** Parts that this provider can only leave out. */
export interface OtherPart extends Optioned {
  type: "reasoning-file" | "custom" | "tool-approval-response";
}

export type ToolOutput =
  | { type: "text" | "error-text"; value: string }
  | { type: "json" | "error-json"; value: unknown }
  | { type: "execution-denied"; reason?: string | undefined }
  | { type: "content"; value: (TextPart | FilePart | ({ type: "custom" } & Optioned))[] };

export type PromptMessage =
  | ({ role: "system"; content: string } & Optioned)
  | ({ role: "user"; content: (TextPart | FilePart)[] } & Optioned)
  | ({
      role: "assistant";
      content: (TextPart | FilePart | ReasoningPart | ToolCallPart | ToolResultPart | OtherPart)[];
    } & Optioned)
  | ({ role: "tool"; content: (ToolResultPart | OtherPart)[] } & Optioned);

export type OfferedTool =
  | ({
      type: "function";
      name: string;
      description?: string | undefined;
      inputSchema: object | boolean;
      inputExamples?: { input: object }[] | undefined;
      strict?: boolean | undefined;
    } & Optioned)
  | { type: "provider"; id: string; name: string };

export type ReasoningLevel =
  | "provider-default"
  | "none"
  | "minimal"
  | "low"
  | "medium"
  | "high"
  | "xhigh"
  | "max";

/** What one call says. `headers` and the like, which are for servers, are not read. */
export interface CallOptions extends Optioned {
  prompt: PromptMessage[];
  maxOutputTokens?: number | undefined;
  temperature?: number | undefined;
  stopSequences?: string[] | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  responseFormat?: { type: "text" } | { type: "json"; schema?: object | boolean | undefined } | undefined;
  seed?: number | undefined;
  tools?: OfferedTool[] | undefined;
  toolChoice?: { type: "auto" | "none" | "required" } | { type: "tool"; toolName: string } | undefined;
  includeRawChunks?: boolean | undefined;
  abortSignal?: AbortSignal | undefined;
  reasoning?: ReasoningLevel | undefined;
}

export type Warning =
  | { type: "unsupported"; feature: string; details?: string }
  | { type: "other"; message: string };

export interface Usage {
  inputTokens: {
    total: number | undefined;
    noCache: number | undefined;
    cacheRead: number | undefined;
    cacheWrite: number | undefined;
  };
  outputTokens: { total: number | undefined; text: number | undefined; reasoning: number | undefined };
  raw?: JsonObject;
}

export interface EndReason {
  unified: "stop" | "length" | "tool-calls" | "error" | "other";
  raw: string | undefined;
}

export interface ResponseFacts {
  id: string;
  timestamp: Date;
  modelId: string;
}

export interface CalledTool {
  type: "tool-call";
  toolCallId: string;
  toolName: string;
  /** JSON text of the arguments. */
  input: string;
}

export type AnswerContent = { type: "text"; text: string } | { type: "reasoning"; text: string } | CalledTool;

export interface GenerateAnswer {
  content: AnswerContent[];
  finishReason: EndReason;
  usage: Usage;
  providerMetadata: Record<string, JsonObject>;
  response: ResponseFacts;
  warnings: Warning[];
}

export type StreamPart =
  | { type: "stream-start"; warnings: Warning[] }
  | ({ type: "response-metadata" } & ResponseFacts)
  | { type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; id: string }
  | { type: "text-delta" | "reasoning-delta"; id: string; delta: string }
  | { type: "tool-input-start"; id: string; toolName: string }
  | { type: "tool-input-delta"; id: string; delta: string }
  | { type: "tool-input-end"; id: string }
  | CalledTool
  | { type: "raw"; rawValue: unknown }
  | { type: "error"; error: unknown }
  | {
      type: "finish";
      finishReason: EndReason;
      usage: Usage;
      providerMetadata?: Record<string, JsonObject>;
    };

/** A model as the AI SDK's functions take it: `generateText({ model, … })`. */
export interface GlimtLanguageModel {
  /** Of the AI SDK's provider contract. */
  readonly specificationVersion: "v4";
  /** "glimt". */
  readonly provider: string;
  /** The name by which the AI SDK tells of it. */
  readonly modelId: string;
  /** Addresses that the AI SDK leaves to glimt, which reads them as `sources` allows. */
  readonly supportedUrls: Record<string, RegExp[]>;
  /** A whole answer. @throws an error of the AI SDK's kind */
  doGenerate(options: CallOptions): Promise<GenerateAnswer>;
  /** An answer as it comes: parts from "stream-start" to "finish". @throws an error of the AI SDK's kind */
  doStream(options: CallOptions): Promise<{
    /** Its parts. */
    stream: ReadableStream<StreamPart>;
  }>;
}
