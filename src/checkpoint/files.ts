/** Where a checkpoint's bytes come from: a directory, a web address, or a set of blobs. */
import { GlimtError } from "../errors.ts";
import { parseJson } from "../json/plain.ts";

export interface CheckpointFiles {
  /** Shown in messages: a path or an address. */
  readonly location: string;
  /** Bytes of a file, or null when there is no such file. */
  size(name: string, signal?: AbortSignal): Promise<number | null>;
  /** A whole (small) file, or null when there is no such file. */
  readAll(name: string, signal?: AbortSignal): Promise<Uint8Array | null>;
  /** Fills `into` with the bytes from `offset` on, without a copy of them elsewhere where the source allows it. */
  readInto(name: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** The file as UTF-8 text, or null when it is absent. */
export async function readText(
  files: CheckpointFiles,
  name: string,
  signal?: AbortSignal,
): Promise<string | null> {
  const bytes = await files.readAll(name, signal);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** The file parsed, or undefined when it is absent. @throws CHECKPOINT_INVALID when it is no JSON. */
export async function readJson(files: CheckpointFiles, name: string, signal?: AbortSignal): Promise<unknown> {
  const text = await readText(files, name, signal);
  if (text === null) return undefined;
  try {
    return parseJson(text);
  } catch (cause) {
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${name} in ${files.location} is not valid JSON: ${(cause as Error).message}.`,
      { cause },
    );
  }
}

/** A read that met the end of a file: it is shorter than its own header or size said. */
export function truncated(location: string, name: string, offset: number, wanted: number): GlimtError {
  return new GlimtError(
    "CHECKPOINT_INVALID",
    `${name} in ${location} ends before byte ${offset + wanted}: the file is truncated or still being written.`,
  );
}
