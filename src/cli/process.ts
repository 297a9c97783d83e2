/** `glimt process`: the processor alone, no weights read. */

import { Command } from "commander";
import { openProcessor } from "../index.ts";
import {
  conversation,
  type LoadFlags,
  type PromptFlags,
  processOptions,
  withMediaOptions,
  withPromptOptions,
} from "./model-options.ts";
import { JSON_HELP } from "./report.ts";
import { type SourceFlags, sourceOptions, withSourceOptions } from "./source-flags.ts";
import { writeOutput } from "./write-output.ts";

interface ProcessFlags
  extends PromptFlags,
    SourceFlags,
    Pick<LoadFlags, "media" | "rounding" | "maxImagePixels" | "checkpointTimeout"> {
  readonly json?: true;
  readonly pixels?: string;
}

export function processCommand(): Command {
  return withMediaOptions(withSourceOptions(withPromptOptions(new Command("process"))))
    .description("show what a model would be given: prompt, token ids, grids, positions")
    .option("--json", JSON_HELP)
    .option("--pixels <out.f32>", "write pixelValues as little-endian float32 (images, then videos)")
    .action(show);
}

async function show(location: string, prompt: string | undefined, flags: ProcessFlags): Promise<void> {
  const { media, rounding, maxImagePixels, checkpointTimeout } = flags;
  const processor = await openProcessor(location, {
    media,
    rounding,
    maxImagePixels,
    checkpointTimeout,
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
  const { promptText, inputIds, mmTokenTypeIds, imageGridThw, videoGridThw, positionIds, ropeDelta } = inputs;
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
    };
    console.log(JSON.stringify(printed));
    return;
  }
  console.log(promptText);
  console.log(`${inputIds.length} tokens, rope delta ${ropeDelta}`);
  for (const grid of imageGridThw) console.log(`image grid ${grid.join(" x ")} patches`);
  for (const grid of videoGridThw) console.log(`video grid ${grid.join(" x ")} patches`);
}
