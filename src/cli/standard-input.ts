/** What a flag of "-" stands for: all of standard input, which one flag of a command may read. */
import { GlimtError } from "../errors.ts";

export const STANDARD_INPUT = "-";
/** As much as a picture or a video may have by default. */
const MOST_BYTES = 512 * 2 ** 20;

/**
 * @param places every place that may be "-", by the name of its flag, with what was given there
 * @throws OPTION_INVALID where several are
 */
export function requireOneReader(
  places: readonly (readonly [name: string, given: string | undefined])[],
): void {
  const readers = places.filter(([, given]) => given === STANDARD_INPUT).map(([name]) => name);
  if (readers.length <= 1) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `${readers.join(" and ")} are all "-": standard input can be read once; give files for the others.`,
  );
}

/** @throws INPUT_INVALID where it is empty, larger than 512 MiB or can not be read */
export async function readStandardInput(
  name: string,
  input: NodeJS.ReadStream | AsyncIterable<Uint8Array> = process.stdin,
): Promise<Uint8Array> {
  if ("isTTY" in input && input.isTTY)
    console.error(`${name}: reading standard input, which ends with Ctrl-D.`);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of input as AsyncIterable<Uint8Array>) {
      bytes += piece.length;
      if (bytes > MOST_BYTES) break;
      pieces.push(piece);
    }
  } catch (cause) {
    throw unreadable(name, `can not be read: ${(cause as Error).message}`, cause);
  }
  if (bytes > MOST_BYTES) throw unreadable(name, "is larger than 512 MiB");
  if (bytes === 0) throw unreadable(name, "is empty");
  return new Uint8Array(Buffer.concat(pieces));
}

function unreadable(name: string, what: string, cause?: unknown): GlimtError {
  return new GlimtError("INPUT_INVALID", `${name}: standard input ${what}.`, { cause });
}
