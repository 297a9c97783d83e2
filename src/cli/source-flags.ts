/** Flags that say where pictures and videos may be read from, and how long and how much. */
import { type Command, Option } from "commander";
import { type MediaOptions, PUBLIC_SOURCES, type Sources } from "../index.ts";
import { wholeNumber } from "./model-options.ts";

export interface SourceFlags {
  readonly sources?: keyof typeof RULES;
  readonly maxSourceBytes?: number;
  readonly sourceTimeout?: number;
}

const RULES = { any: "any", inline: "inline", public: PUBLIC_SOURCES } as const satisfies Record<
  string,
  Sources
>;

export function withSourceOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--sources <rule>",
        "where pictures and videos may be read from: inline: only data in the messages; public: that and public hosts",
      ).choices(Object.keys(RULES)),
    )
    .option("--max-source-bytes <n>", "refuse pictures and videos of more bytes", wholeNumber)
    .option(
      "--source-timeout <ms>",
      "give up a picture or video that sends nothing for so long",
      wholeNumber,
    );
}

export function sourceOptions({ sources, maxSourceBytes, sourceTimeout }: SourceFlags): MediaOptions {
  return { sources: sources && RULES[sources], maxSourceBytes, sourceTimeout };
}
