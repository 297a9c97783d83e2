/** Flags that say where pictures and videos may be read from, and how much of them, and how long reading may take. */
import { type Command, Option } from "commander";
import { type MediaOptions, PUBLIC_SOURCES, type Sources } from "../index.ts";
import { wholeNumber } from "./model-options.ts";

export interface SourceFlags {
  readonly sources?: keyof typeof RULES;
  readonly maxSourceBytes?: number;
  readonly sourceTimeout?: number;
  readonly decodeTimeout?: number;
}

const RULES = { any: "any", inline: "inline", public: PUBLIC_SOURCES } as const satisfies Record<
  string,
  Sources
>;

/** @param usual what is meant where the flag is not given */
export function withSourceOptions(command: Command, usual = "any"): Command {
  return command
    .addOption(
      new Option(
        "--sources <rule>",
        `where pictures and videos may be read from: any; inline: only data in the messages; public: that and public hosts (default: ${usual})`,
      ).choices(Object.keys(RULES)),
    )
    .option(
      "--max-source-bytes <n>",
      "refuse pictures and videos of more bytes (default: 536870912, 512 MiB)",
      wholeNumber,
    )
    .option(
      "--source-timeout <ms>",
      "give a picture or video up that sends nothing for so long (default: 60000)",
      wholeNumber,
    )
    .option(
      "--decode-timeout <ms>",
      "give a picture or a frame up that takes longer to decode, or a video that takes longer to open (default: 30000)",
      wholeNumber,
    );
}

export function sourceOptions(flags: SourceFlags): MediaOptions {
  const { sources, maxSourceBytes, sourceTimeout, decodeTimeout } = flags;
  return { sources: sources && RULES[sources], maxSourceBytes, sourceTimeout, decodeTimeout };
}
