/** Local files for the media room: the only place of it that knows a file system. */

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GlimtError } from "../errors.ts";
import { mediaError } from "./source.ts";
import { type VideoFrames, videoMetadata } from "./video-source.ts";

const FRAME_FILE = /\.(png|jpe?g|webp)$/i;
const METADATA_FILE = "metadata.json";

/** The bytes of a file, for SourceOptions.readFile. */
export async function readLocalFile(path: string | URL): Promise<Uint8Array> {
  return new Uint8Array(await readFile(path));
}

/**
 * A directory of numbered frames as a video, for VideoOptions.readFrameDirectory: every PNG, JPEG and WebP file in
 * the order of the numbers in their names, and metadata.json (fps, total_num_frames, duration, frames_indices; all
 * optional) when there is one. Null for the path of a file.
 *
 * @throws VIDEO_INVALID for a path where nothing is, a directory without frames, or malformed metadata.
 */
export async function readFrameDirectory(path: string | URL): Promise<VideoFrames | null> {
  const isUrl = path instanceof URL || path.startsWith("file:");
  const directory = isUrl ? fileURLToPath(path) : path;
  let names: string[];
  try {
    if (!(await stat(directory)).isDirectory()) return null;
    names = await readdir(directory);
  } catch (cause) {
    throw mediaError("Video", `${directory} can not be read: ${(cause as Error).message}`, cause);
  }
  const byNumber = new Intl.Collator("en", { numeric: true });
  const frames = names.filter((name) => FRAME_FILE.test(name)).sort(byNumber.compare);
  if (frames.length === 0) {
    throw new GlimtError("VIDEO_INVALID", `Video directory ${directory} holds no PNG, JPEG or WebP frames.`);
  }
  const sources = frames.map((name) => join(directory, name));
  if (!names.includes(METADATA_FILE)) return { frames: sources };
  return { frames: sources, metadata: await readMetadata(join(directory, METADATA_FILE)) };
}

async function readMetadata(path: string) {
  const text = await readFile(path, "utf8");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new GlimtError("VIDEO_INVALID", `${path} is no valid JSON.`, { cause });
  }
  return videoMetadata(json, path);
}
