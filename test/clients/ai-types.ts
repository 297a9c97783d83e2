/** glimt's own types of the AI SDK's contract are the contract's: what this file says is checked by its type check alone. */
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4GenerateResult,
  LanguageModelV4Prompt,
  LanguageModelV4StreamPart,
  ProviderV4,
  SharedV4Warning,
} from "@ai-sdk/provider";
import type {
  AnswerContent,
  CallOptions,
  GenerateAnswer,
  GlimtLanguageModel,
  PromptMessage,
  StreamPart,
  Warning,
} from "../../src/ai/contract.ts";
import type { GlimtProvider } from "../../src/ai/provider.ts";

type Takes<Ours, Theirs extends Ours> = Theirs;
type Gives<Theirs, Ours extends Theirs> = Ours;

export type Checked = [
  Takes<PromptMessage[], LanguageModelV4Prompt>,
  Takes<CallOptions, LanguageModelV4CallOptions>,
  Gives<LanguageModelV4Content, AnswerContent>,
  Gives<LanguageModelV4GenerateResult, GenerateAnswer>,
  Gives<LanguageModelV4StreamPart, StreamPart>,
  Gives<SharedV4Warning, Warning>,
  Gives<LanguageModelV4, GlimtLanguageModel>,
  Gives<ProviderV4, GlimtProvider>,
];
