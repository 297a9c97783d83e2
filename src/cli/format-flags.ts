/** Flags that say how weights and the KV cache are stored, of all commands that load a model or reckon with one. */
import { type Command, Option } from "commander";
import type { LoadOptions } from "../index.ts";
import { CACHE_DTYPES } from "../tensor/dtype.ts";
import { ROUNDED_FORMATS } from "../tensor/storage.ts";

export interface FormatFlags {
  readonly dtype?: NonNullable<LoadOptions["dtype"]>;
  readonly visionDtype?: NonNullable<LoadOptions["visionDtype"]>;
  readonly kvCacheDtype?: NonNullable<LoadOptions["kvCacheDtype"]>;
}

export function withFormatOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--dtype <type>",
        "weight storage; q8 and q4: of the language model (default: the checkpoint's)",
      ).choices(ROUNDED_FORMATS),
    )
    .addOption(
      new Option(
        "--vision-dtype <type>",
        "weight storage of the vision tower (default: as --dtype; beside q8 and q4 the checkpoint's)",
      ).choices(ROUNDED_FORMATS),
    )
    .addOption(
      new Option(
        "--kv-cache-dtype <type>",
        "storage of the KV cache (default: the backend's activation type)",
      ).choices(CACHE_DTYPES),
    );
}
