/** `glimt list`: the models of the Hub that are in the cache. */
import { Command } from "commander";
import { formatBytes } from "../compiler/print.ts";
import { listModels } from "../index.ts";
import { type HubFlags, hubOptions, withCacheOption } from "./checkpoint-flags.ts";
import { counted } from "./counted.ts";
import { JSON_HELP } from "./report.ts";

interface ListFlags extends HubFlags {
  readonly json?: true;
}

export function listCommand(): Command {
  return withCacheOption(new Command("list"))
    .description("list the models of the Hub in the cache, with their sizes; Python's are there too")
    .option("--json", JSON_HELP)
    .action(list);
}

async function list(flags: ListFlags): Promise<void> {
  const models = await listModels({ hub: hubOptions(flags) });
  if (flags.json) {
    console.log(JSON.stringify({ models }));
    return;
  }
  for (const { repository, bytes, unfinishedBytes, lastUsed, revisions } of models) {
    const used = lastUsed === null ? "" : `, used ${new Date(lastUsed).toISOString().slice(0, 10)}`;
    const unfinished = unfinishedBytes === 0 ? "" : `, and ${formatBytes(unfinishedBytes)} unfinished`;
    console.log(`${repository}  ${formatBytes(bytes)}${unfinished}${used}`);
    for (const { commit, refs, files } of revisions) {
      console.log(`  ${commit}  ${[...refs].join(", ")} ${counted(files, "file")}`);
    }
  }
  const total = models.reduce((sum, { bytes, unfinishedBytes }) => sum + bytes + unfinishedBytes, 0);
  console.log(`${counted(models.length, "model")}, ${formatBytes(total)}`);
}
