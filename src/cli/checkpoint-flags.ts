/** Flags of all commands that open a checkpoint: how its server is asked. */
import type { Command } from "commander";
import { GlimtError } from "../errors.ts";
import type { HubOptions } from "../index.ts";
import { wholeNumber } from "./model-options.ts";

export interface HubFlags {
  readonly cacheDir?: string;
  readonly offline?: true;
}

export interface ServerFlags extends HubFlags {
  readonly checkpointTimeout?: number;
  readonly header?: Readonly<Record<string, string>>;
}

export interface CheckpointFlags extends ServerFlags {
  readonly mmproj?: string;
}

/** Where models of the Hub are kept. The token is in HF_TOKEN: a command line is seen by others. */
export function withCacheOption(command: Command): Command {
  return command.option(
    "--cache-dir <dir>",
    "where models of the Hub are kept (default: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub)",
  );
}

export function hubOptions({ cacheDir, offline }: HubFlags): HubOptions {
  return { cacheDir, offline };
}

/** How servers of models are asked. */
export function withServerOptions(command: Command): Command {
  return withCacheOption(command)
    .option("--offline", "ask nothing of the Hub: use what is in the cache (also HF_HUB_OFFLINE=1)")
    .option(
      "--checkpoint-timeout <ms>",
      "give a server of the checkpoint up that sends nothing for so long (default: 30000)",
      wholeNumber,
    )
    .option(
      "--header <name:value>",
      'sent to the server of the checkpoint, such as "Authorization: Bearer hf_..."; may be repeated',
      header,
    );
}

export function serverOptions(flags: ServerFlags) {
  const { checkpointTimeout, header: headers } = flags;
  return { checkpointTimeout, headers, hub: hubOptions(flags) };
}

export function withCheckpointOptions(command: Command): Command {
  return withServerOptions(command).option(
    "--mmproj <file>",
    "of a GGUF model: the file of its vision tower (without it: text alone)",
  );
}

export function checkpointOptions(flags: CheckpointFlags) {
  return { ...serverOptions(flags), mmproj: flags.mmproj };
}

function header(text: string, before?: Readonly<Record<string, string>>): Record<string, string> {
  const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return { ...before, [name]: value };
  // What was given may be a secret.
  throw new GlimtError(
    "OPTION_INVALID",
    'A --header has a name, a colon and a value: "Authorization: Bearer hf_...".',
  );
}
