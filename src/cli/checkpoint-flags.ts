/** Flags of all commands that open a checkpoint: how its server is asked. */
import type { Command } from "commander";
import { GlimtError } from "../errors.ts";
import { wholeNumber } from "./model-options.ts";

export interface CheckpointFlags {
  readonly checkpointTimeout?: number;
  readonly header?: Readonly<Record<string, string>>;
  readonly mmproj?: string;
}

export function withCheckpointOptions(command: Command): Command {
  return command
    .option(
      "--checkpoint-timeout <ms>",
      "give a server of the checkpoint up that sends nothing for so long (default: 30000)",
      wholeNumber,
    )
    .option(
      "--header <name:value>",
      'sent to the server of the checkpoint, such as "Authorization: Bearer hf_..."; may be repeated',
      header,
    )
    .option("--mmproj <file>", "of a GGUF model: the file of its vision tower (without it: text alone)");
}

export function checkpointOptions({ checkpointTimeout, header: headers, mmproj }: CheckpointFlags) {
  return { checkpointTimeout, headers, mmproj };
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
