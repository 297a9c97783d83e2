/** Local files for the media room: the only place of it that knows a file system. */

import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GlimtError } from "../errors.ts";
import { parseJson } from "../json/plain.ts";
import { shownAddress } from "./sources/address.ts";
import { allowedPath, readLocalFile, statusOf } from "./sources/local-file.node.ts";
import type { Reading } from "./sources/reading.ts";
import { type VideoFrames, videoMetadata } from "./video-source.ts";

export { readLocalFile } from "./sources/local-file.node.ts";

/** A GIF is an animation of its own. Hidden files are notes that systems leave behind, such as `._001.png`. */
const FRAME_FILE = /^[^.].*\.(png|jpe?g|webp|bmp|tiff?)$/i;
const METADATA_FILE = "metadata.json";

/**
 * A directory of numbered frames as a video, for VideoOptions.readFrameDirectory: every PNG, JPEG, WebP, BMP and TIFF
 * file that is not hidden, in the order of the numbers in their names, and metadata.json (fps, total_num_frames,
 * duration, frames_indices; all optional) when there is one. Null for the path of a file.
 *
 * @throws VIDEO_INVALID for a directory without frames, or malformed metadata; SOURCE_REFUSED; Error of the system.
 */
export async function readFrameDirectory(path: string | URL, reading: Reading): Promise<VideoFrames | null> {
  // Absolute, so that no name in it is taken for an address.
  const directory = resolve(typeof path === "string" ? path : fileURLToPath(path));
  const allowed = await allowedPath(path, reading);
  if (!(await statusOf(allowed, reading)).isDirectory()) return null;
  const entries = await readdir(allowed, { withFileTypes: true });
  const byNumber = new Intl.Collator("en", { numeric: true });
  const frames = entries
    .filter((entry) => FRAME_FILE.test(entry.name) && !entry.isDirectory())
    .map(({ name }) => name)
    .sort(byNumber.compare);
  if (frames.length === 0) {
    throw new GlimtError(
      "VIDEO_INVALID",
      `Video directory ${shownAddress(path)} holds no PNG, JPEG, WebP, BMP or TIFF frames.`,
    );
  }
  const sources = frames.map((name) => join(directory, name));
  if (!entries.some(({ name }) => name === METADATA_FILE)) return { frames: sources };
  return { frames: sources, metadata: await readMetadata(join(directory, METADATA_FILE), reading) };
}

async function readMetadata(path: string, reading: Reading) {
  const text = new TextDecoder().decode(await readLocalFile(path, reading));
  const name = shownAddress(path);
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (cause) {
    throw new GlimtError("VIDEO_INVALID", `${name} is no valid JSON: ${(cause as Error).message}`, { cause });
  }
  return videoMetadata(json, name);
}
