/** Flags that say what times are predicted for. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { GlimtError } from "../errors.ts";
import { type Hardware, readHardware } from "../measure/hardware.ts";
import { decimal } from "./model-options.ts";

export interface HardwareFlags {
  readonly hardware?: string;
  readonly linkSpeed?: number;
}

export function withHardwareOptions(command: Command): Command {
  return command
    .option(
      "--hardware <file.json>",
      "predict times from these figures of devices and links (docs/parallel.md)",
    )
    .option("--link-speed <GB/s>", "bytes a second between devices, in place of the file's", decimal);
}

/** @throws OPTION_INVALID for a file that is none, or a speed without one */
export async function hardwareOf({
  hardware: file,
  linkSpeed,
}: HardwareFlags): Promise<Hardware | undefined> {
  if (file === undefined) {
    if (linkSpeed === undefined) return undefined;
    throw new GlimtError(
      "OPTION_INVALID",
      "--link-speed changes the figures of --hardware: give a file of them too.",
    );
  }
  const hardware = readHardware(await parsed(file));
  const { link } = hardware;
  return linkSpeed === undefined
    ? hardware
    : { ...hardware, link: { ...link, bytesPerSecond: 1e9 * linkSpeed } };
}

async function parsed(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new GlimtError("OPTION_INVALID", `--hardware ${file} is no JSON file that can be read.`, { cause });
  }
}
