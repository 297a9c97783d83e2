/** `providerOptions.glimt`: what may be said to glimt beside the AI SDK's own settings. */
import { GlimtError } from "../errors.ts";
import { readOptions } from "../given.ts";
import { PROCESS_OPTION_NAMES, type ProcessOptions } from "../prompt/process-options.ts";
import { GENERATE_OPTION_NAMES, type GenerateOptions } from "../serving/generation-options.ts";
import type { ProviderOptions } from "./contract.ts";

/** What the AI SDK has a setting of its own for, or can not take. */
const SAID_BY = {
  maxTokens: "maxOutputTokens",
  temperature: "temperature",
  topK: "topK",
  topP: "topP",
  presencePenalty: "presencePenalty",
  frequencyPenalty: "frequencyPenalty",
  seed: "seed",
  stop: "stopSequences",
  tools: "tools",
  toolChoice: "toolChoice",
  signal: "abortSignal",
  onProgress: null,
  n: null,
} as const satisfies {
  readonly [Name in Exclude<keyof (GenerateOptions & ProcessOptions), keyof GlimtProviderOptions>]:
    | string
    | null;
};

/** Options of `generate` that `providerOptions.glimt` takes, by name. */
export type GlimtProviderOptions = Omit<
  GenerateOptions & ProcessOptions,
  | "maxTokens"
  | "temperature"
  | "topK"
  | "topP"
  | "presencePenalty"
  | "frequencyPenalty"
  | "seed"
  | "stop"
  | "tools"
  | "toolChoice"
  | "signal"
  | "onProgress"
  | "n"
>;

const NAMES = [...new Set([...GENERATE_OPTION_NAMES, ...PROCESS_OPTION_NAMES])].filter(
  (name) => !(name in SAID_BY),
);

/** @throws OPTION_INVALID naming the option; their values are checked where they are used */
export function glimtOptions(given: ProviderOptions | undefined): GlimtProviderOptions {
  const options: object | undefined = given?.glimt;
  for (const name of Object.keys(options ?? {})) {
    if (!Object.hasOwn(SAID_BY, name)) continue;
    const setting = SAID_BY[name as keyof typeof SAID_BY];
    throw new GlimtError(
      "OPTION_INVALID",
      setting === null
        ? `providerOptions.glimt.${name} can not be had through the AI SDK.`
        : `providerOptions.glimt.${name}: the AI SDK has the setting ${setting} for this.`,
    );
  }
  return readOptions<GlimtProviderOptions>(options, "providerOptions.glimt", NAMES);
}
