/** `glimt rm`: remove a model of the Hub from the cache. */
import { Command } from "commander";
import { formatBytes } from "../compiler/print.ts";
import { removeModel } from "../index.ts";
import { type HubFlags, hubOptions, withCacheOption } from "./checkpoint-flags.ts";
import { JSON_HELP } from "./report.ts";

interface RmFlags extends HubFlags {
  readonly json?: true;
}

export function rmCommand(): Command {
  return withCacheOption(new Command("rm"))
    .description("remove models of the Hub from the cache, for Python too")
    .argument("<model...>", "ORG/NAME, or ORG/NAME@REVISION for what only this revision needs")
    .option("--json", JSON_HELP)
    .action(remove);
}

async function remove(models: readonly string[], flags: RmFlags): Promise<void> {
  let bytes = 0;
  for (const model of models) bytes += await removeModel(model, { hub: hubOptions(flags) });
  console.log(
    flags.json ? JSON.stringify({ removed: models, bytes }) : `${formatBytes(bytes)} are free now.`,
  );
}
