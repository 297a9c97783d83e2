/** `glimt process`: the processor alone, no weights read. */

import { Command } from "commander";
import { openProcessor } from "../index.ts";
import { type CheckpointFlags, checkpointOptions, withCheckpointOptions } from "./checkpoint-flags.ts";
import {
  conversation,
  filesRead,
  type LoadFlags,
  type MediaFlags,
  mediaOptions,
  type PromptFlags,
  processOptions,
  wholeNumber,
  withMediaOptions,
  withPromptOptions,
} from "./model-options.ts";
import { requestPage } from "./process/request-page.ts";
import { JSON_HELP } from "./report.ts";
import { type SourceFlags, sourceOptions, withSourceOptions } from "./source-flags.ts";
import { checkOutputs, writeOutput } from "./write-output.ts";

interface ProcessFlags
  extends PromptFlags,
    SourceFlags,
    MediaFlags,
    CheckpointFlags,
    Pick<LoadFlags, "maxImagePixels"> {
  readonly json?: true;
  readonly html?: string;
  readonly pixels?: string;
}

export function processCommand(): Command {
  return withCheckpointOptions(withMediaOptions(withSourceOptions(withPromptOptions(new Command("process")))))
    .description("show what a model would be given: prompt, token ids, grids, positions")
    .option("--max-image-pixels <n>", "resize pictures to at most this many pixels", wholeNumber)
    .option("--json", JSON_HELP)
    .option("--html <file>", "write it as a page, with the pictures as the model sees them")
    .option("--pixels <out.f32>", "write pixelValues as little-endian float32 (images, then videos)")
    .action(show);
}

async function show(location: string, prompt: string | undefined, flags: ProcessFlags): Promise<void> {
  await checkOutputs({ "--html": flags.html, "--pixels": flags.pixels }, filesRead(flags));
  const processor = await openProcessor(location, {
    maxImagePixels: flags.maxImagePixels,
    ...checkpointOptions(flags),
    ...mediaOptions(flags),
    ...sourceOptions(flags),
  });
  const inputs = await processor.process(await conversation(prompt, flags), await processOptions(flags));
  if (flags.pixels !== undefined) {
    const parts = [inputs.pixelValues, inputs.pixelValuesVideos].flatMap((values) =>
      values ? [values] : [],
    );
    await writeOutput(
      "--pixels",
      flags.pixels,
      Buffer.concat(
        parts.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
      ),
    );
  }
  if (flags.html !== undefined) {
    await writeOutput("--html", flags.html, await requestPage(location, processor, inputs));
  }
  const {
    promptText,
    inputIds,
    mmTokenTypeIds,
    imageGridThw,
    videoGridThw,
    positionIds,
    ropeDelta,
    promptTokens,
  } = inputs;
  if (flags.json) {
    const positions = positionIds.map((axis) => Array.from(axis));
    const printed = {
      promptText,
      promptIds: inputIds,
      inputIds,
      mmTokenTypeIds,
      imageGridThw,
      videoGridThw,
      positionIds: positions,
      ropeDelta,
      promptTokens,
    };
    console.log(JSON.stringify(printed));
    return;
  }
  console.log(promptText);
  const read = promptTokens === inputIds.length ? "" : `, ${promptTokens} of them read`;
  console.log(`${inputIds.length} tokens${read}, rope delta ${ropeDelta}`);
  for (const grid of imageGridThw) console.log(`image grid ${grid.join(" x ")} patches`);
  for (const grid of videoGridThw) console.log(`video grid ${grid.join(" x ")} patches`);
}
