/** `glimt quantize`: write a checkpoint's weights in 8 or 4 bits. */
import { Command, Option } from "commander";
import { KEPT_PARTS } from "../api/kept-weights.ts";
import { formatBytes } from "../compiler/print.ts";
import { type KeptPart, type QuantizeOptions, quantizeModel } from "../index.ts";
import { type ServerFlags, serverOptions, withServerOptions } from "./checkpoint-flags.ts";
import { conversionText } from "./conversion-text.ts";
import { interruptible } from "./interruption.ts";
import { downloadShown, progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";

interface QuantizeFlags
  extends ServerFlags,
    Pick<QuantizeOptions, "dtype" | "visionDtype" | "for" | "force"> {
  readonly keep?: readonly KeptPart[];
  readonly json?: true;
}

const FORMATS = ["q8", "q4"];

export function quantizeCommand(): Command {
  return withServerOptions(new Command("quantize"))
    .description(
      "write a checkpoint with its weights in 8 or 4 bits, which loads as it is; for vLLM with --for vllm",
    )
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .argument("<out>", "folder to be made")
    .addOption(
      new Option("--dtype <type>", "of the language model's matrices").choices(FORMATS).makeOptionMandatory(),
    )
    .addOption(
      new Option(
        "--vision-dtype <type>",
        "of the vision tower's matrices (default: as in the checkpoint)",
      ).choices(FORMATS),
    )
    .addOption(
      new Option(
        "--keep <part...>",
        "stays as in the checkpoint: the vision tower (the default without --vision-dtype), the embedding table and head",
      ).choices(KEPT_PARTS),
    )
    .addOption(
      new Option(
        "--for <reader>",
        "vllm: keep table and head, and store queries like keys and values, as vLLM needs it",
      ).choices(["vllm"]),
    )
    .option("--force", "replace the checkpoint that is in the folder")
    .option("--json", JSON_HELP)
    .action(quantize);
}

async function quantize(model: string, out: string, flags: QuantizeFlags): Promise<void> {
  const { dtype, visionDtype, keep, for: reader, force } = flags;
  const progress = progressLine(flags.json !== true);
  const written = await quantizeModel(model, out, {
    ...serverOptions(flags),
    dtype,
    visionDtype,
    keep,
    for: reader,
    force,
    signal: interruptible(),
    onDownload: (download) => progress.show(...downloadShown(download)),
    onProgress: ({ writtenBytes, totalBytes }) => {
      const size = `${(writtenBytes / 1e6).toFixed(0)} of ${(totalBytes / 1e6).toFixed(0)} MB`;
      progress.show(`writing ${size},`, writtenBytes / totalBytes);
    },
  }).finally(() => progress.clear());
  if (flags.json) {
    console.log(JSON.stringify(written));
    return;
  }
  for (const totals of written.conversions) console.log(conversionText(totals));
  for (const note of written.notes) console.log(note);
  const files = written.files.length === 1 ? "" : ` in ${written.files.length} files`;
  console.log(`${written.location}: ${formatBytes(written.bytes)} of weights${files}`);
}
