/** Files that a command is told to write. */
import { writeFile } from "node:fs/promises";
import { GlimtError } from "../errors.ts";

/** @throws OPTION_INVALID naming the flag when the file can not be written */
export async function writeOutput(flag: string, file: string, content: string | Uint8Array): Promise<void> {
  await writeFile(file, content).catch((cause: Error) => {
    throw new GlimtError("OPTION_INVALID", `${flag}: ${file} can not be written: ${cause.message}.`, {
      cause,
    });
  });
}
