/** Where pictures come from, and how their bytes are had. */

import { GlimtError } from "../errors.ts";
import { isWebPage } from "../http/web-page.ts";
import { fileKind, isMovie } from "./file-kind.ts";
import { isOutOfMemory, outOfMemory } from "./memory.ts";
import { type Address, addressOf, looksLikeBase64, shownAddress } from "./sources/address.ts";
import { blobName, byteLengthOf, bytesHeld, isBlob, readBlob } from "./sources/bytes.ts";
import { decodeBase64, decodeDataUrl } from "./sources/data-url.ts";
import { type RequestPublic, readHttp } from "./sources/http.ts";
import { checkSize, type Reading, type ReadLimits, refused, withinLimits } from "./sources/reading.ts";
import { reasonOf } from "./sources/reason.ts";
import { allows, type SourceDescription } from "./sources/source-rule.ts";

/** Pixels that are decoded already; channels default to what the length says. Browsers' ImageData fits. */
export interface RawImage {
  /** Bytes of the pixels, row by row. */
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** 3: RGB; 4: RGBA. */
  readonly channels?: 3 | 4;
}

/**
 * A file path (or a relative URL where there are no files), an http(s), file or data URL, the bytes of a file, a Blob
 * of them, or their base64.
 */
export type FileSource = string | URL | Uint8Array | Uint8ClampedArray | DataView | ArrayBufferLike | Blob;

/** A PNG, JPEG, WebP, GIF, TIFF or BMP file (of several frames or pages the first), or decoded pixels. */
export type ImageSource = FileSource | RawImage;

/** What a source is meant to be; errors name it. */
export type MediaNoun = "Image" | "Video" | "Document" | "Layout model";

export interface SourceOptions extends ReadLimits {
  /** Reads a local file; environments without one fetch paths as relative URLs. */
  readonly readFile?: ((path: string | URL, reading: Reading) => Promise<Uint8Array>) | undefined;
  /** Requests to public hosts; environments without one look at the letters of an address alone. */
  readonly requestPublic?: RequestPublic | undefined;
}

export interface EncodedFile {
  readonly bytes: Uint8Array;
  /** What to call it in an error. */
  readonly name: string;
  /** Read for this call alone, so that nobody else sees when they are handed over. */
  readonly isOwn: boolean;
}

export function isRawImage(source: ImageSource): source is RawImage {
  return typeof source === "object" && source !== null && "data" in source && "width" in source;
}

const CODES = {
  Image: "IMAGE_INVALID",
  Video: "VIDEO_INVALID",
  Document: "INPUT_INVALID",
  "Layout model": "INPUT_INVALID",
} as const;

/** An error about a source: IMAGE_INVALID, VIDEO_INVALID or INPUT_INVALID. */
export function mediaError(noun: MediaNoun, problem: string, cause?: unknown): GlimtError {
  return new GlimtError(CODES[noun], `${noun} ${problem}`, cause === undefined ? {} : { cause });
}

/**
 * The encoded bytes of a source.
 *
 * @throws IMAGE_INVALID, VIDEO_INVALID or INPUT_INVALID naming the source when they can not be had; SOURCE_REFUSED, SOURCE_TOO_LARGE,
 * OUT_OF_MEMORY, TIMED_OUT, ABORTED
 */
export async function readSource(
  source: FileSource,
  options: SourceOptions,
  noun: MediaNoun = "Image",
): Promise<EncodedFile> {
  if (isText(source)) return readText(source, options, noun);
  const name = heldName(source, noun);
  return readNamed(name, options, noun, async (reading) => {
    await requireAllowed(reading, { kind: "bytes" });
    const held = bytesHeld(source, reading);
    return { bytes: held ?? (await readBlob(source as Blob, reading)), name, isOwn: held === undefined };
  });
}

/** Enough to tell every format. */
const SIGNATURE_BYTES = 512;

/**
 * A movie in a Blob, which is read in place: it may be longer than memory, so that a limit of bytes holds only if it was
 * given. Null for other sources. @throws as readSource
 */
export async function movieBlob(
  source: FileSource,
  options: SourceOptions,
): Promise<{ readonly file: Blob; readonly name: string } | null> {
  if (!isBlob(source)) return null;
  const name = blobName(source);
  return readNamed(name, options, "Video", async (reading) => {
    await requireAllowed(reading, { kind: "bytes" });
    const start = new Uint8Array(await source.slice(0, SIGNATURE_BYTES).arrayBuffer());
    if (!isMovie(fileKind(start))) return null;
    if (options.maxSourceBytes !== undefined) checkSize(source.size, reading);
    return { file: source.slice(), name };
  });
}

/** The frames of a local directory; null for another source. @throws as readSource */
export async function readDirectory<T>(
  source: unknown,
  options: SourceOptions,
  open: (path: string | URL, reading: Reading) => Promise<T | null>,
): Promise<T | null> {
  if (!isText(source)) return null;
  const name = shownAddress(source);
  return readNamed(name, options, "Video", async (reading) => {
    const address = addressOf(source, true);
    return address.kind === "file" ? open(address.path, reading) : null;
  });
}

async function readText(source: string | URL, options: SourceOptions, noun: MediaNoun): Promise<EncodedFile> {
  const name = shownAddress(source);
  return readNamed(name, options, noun, async (reading) => {
    const address = addressOf(source, options.readFile !== undefined);
    try {
      return { bytes: await readAddress(address, options, reading, noun), name, isOwn: true };
    } catch (error) {
      const isPath = address.kind === "file" && !(error instanceof GlimtError);
      if (!isPath || !looksLikeBase64(String(source))) throw error;
      throw new Error(`${reasonOf(error)}; if it is base64, put data:image/png;base64, before it`, {
        cause: error,
      });
    }
  });
}

async function readAddress(
  address: Address,
  { readFile, requestPublic }: SourceOptions,
  reading: Reading,
  noun: MediaNoun,
): Promise<Uint8Array> {
  switch (address.kind) {
    case "data":
    case "base64":
      await requireAllowed(reading, { kind: "data" });
      return address.kind === "data"
        ? decodeDataUrl(address.text, reading)
        : decodeBase64(address.text, 0, address.text.length, reading);
    case "blob": {
      await requireAllowed(reading, address);
      const response = await fetch(address.url, { signal: reading.signal });
      return readBlob(await response.blob(), reading);
    }
    case "http":
      return notPage(await readHttp(address, reading, requestPublic), noun);
    case "file":
      // There are files, or no address would be one.
      return (readFile as NonNullable<typeof readFile>)(address.path, reading);
  }
}

/** @throws SOURCE_REFUSED */
async function requireAllowed({ rule, what }: Reading, source: SourceDescription): Promise<void> {
  if (!(await allows(rule, source))) throw refused(what, source.kind);
}

/** @throws Error for a web page, as the address of a picture's page answers */
function notPage(bytes: Uint8Array, noun: MediaNoun): Uint8Array {
  if (!isWebPage(bytes)) return bytes;
  const wanted = { Image: "picture", Video: "video", Document: "document", "Layout model": "model" }[noun];
  throw new Error(
    `the address is a web page's (HTML), not a ${wanted}'s; give the address of the ${wanted} itself`,
  );
}

/** Within limits, and what went wrong as an error that names the source. */
async function readNamed<T>(
  name: string,
  options: SourceOptions,
  noun: MediaNoun,
  task: (reading: Reading) => Promise<T>,
): Promise<T> {
  try {
    return await withinLimits(`${noun} ${name}`, options, task);
  } catch (cause) {
    if (cause instanceof GlimtError) throw cause;
    if (isOutOfMemory(cause)) throw outOfMemory(noun, name, cause);
    const reason = reasonOf(cause);
    throw mediaError(noun, `${name} can not be read: ${reason}${reason.endsWith("?") ? "" : "."}`, cause);
  }
}

function isText(source: unknown): source is string | URL {
  return (
    typeof source === "string" ||
    source instanceof URL ||
    Object.prototype.toString.call(source) === "[object URL]"
  );
}

/** @throws IMAGE_INVALID, VIDEO_INVALID or INPUT_INVALID for what is no source */
function heldName(source: unknown, noun: MediaNoun): string {
  if (isBlob(source)) return blobName(source);
  const size = byteLengthOf(source);
  if (typeof source === "object" && size !== undefined) return `of ${size} bytes`;
  const decoded = noun === "Video" ? "{ frames: [...], metadata }" : "{ data, width, height }";
  const found = source === null ? "null" : typeof source;
  throw mediaError(noun, `must be a path, a URL, bytes, a Blob, or ${decoded}; got ${found}.`);
}
