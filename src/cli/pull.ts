/** `glimt pull`: bring a model of the Hub into the cache. */
import { Command } from "commander";
import { formatBytes } from "../compiler/print.ts";
import { pullModel } from "../index.ts";
import { type ServerFlags, serverOptions, withServerOptions } from "./checkpoint-flags.ts";
import { counted } from "./counted.ts";
import { interruptible } from "./interruption.ts";
import { downloadShown, progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";

interface PullFlags extends ServerFlags {
  readonly json?: true;
}

export function pullCommand(): Command {
  return withServerOptions(new Command("pull"))
    .description(
      "download a model of the Hub into the cache that is shared with Python; goes on where it was cut off",
    )
    .argument(
      "<model>",
      "ORG/NAME, ORG/NAME@REVISION, ORG/NAME/FILE.gguf, or the address of its page; a token is read from HF_TOKEN",
    )
    .option("--json", JSON_HELP)
    .action(pull);
}

async function pull(model: string, flags: PullFlags): Promise<void> {
  const progress = progressLine(flags.json !== true);
  const pulled = await pullModel(model, {
    ...serverOptions(flags),
    signal: interruptible(),
    onDownload: (download) => progress.show(...downloadShown(download)),
  }).finally(() => progress.clear());
  if (flags.json) {
    console.log(JSON.stringify(pulled));
    return;
  }
  const { repository, revision, commit, files, bytes } = pulled;
  console.log(
    `${repository}@${revision} (${commit}): ${counted(files.length, "file")}, ${formatBytes(bytes)}`,
  );
}
