/** Where pictures come from, and how their bytes are fetched. */

import { GlimtError, throwIfAborted } from "../errors.ts";

/** Pixels that are decoded already; channels default to what the length says. Browsers' ImageData fits. */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels?: 3 | 4;
}

/**
 * A file path (or a relative URL where there are no files), an http(s), file or data URL, the bytes of a file, or a
 * Blob of them.
 */
export type FileSource = string | URL | Uint8Array | ArrayBuffer | Blob;

/** A PNG, JPEG, WebP or GIF file (of an animation its first frame), or decoded pixels. */
export type ImageSource = FileSource | RawImage;

/** What a source is meant to be; errors name it. */
export type MediaNoun = "Image" | "Video";

export interface SourceOptions {
  /** Reads a local file; environments without one fetch paths as relative URLs. */
  readonly readFile?: ((path: string | URL) => Promise<Uint8Array>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface EncodedFile {
  readonly bytes: Uint8Array;
  /** What to call it in an error. */
  readonly name: string;
  /** Read for this call alone, so that nobody else sees when they are handed over. */
  readonly isOwn: boolean;
}

export function isRawImage(source: ImageSource): source is RawImage {
  return typeof source === "object" && "data" in source && "width" in source;
}

/** An error about a source: IMAGE_INVALID or VIDEO_INVALID. */
export function mediaError(noun: MediaNoun, problem: string, cause?: unknown): GlimtError {
  const code = noun === "Image" ? "IMAGE_INVALID" : "VIDEO_INVALID";
  return new GlimtError(code, `${noun} ${problem}`, cause === undefined ? {} : { cause });
}

/** The encoded bytes of a source. @throws IMAGE_INVALID or VIDEO_INVALID naming the source when they can not be had. */
export async function readSource(
  source: FileSource,
  options: SourceOptions,
  noun: MediaNoun = "Image",
): Promise<EncodedFile> {
  throwIfAborted(options.signal);
  if (source instanceof Uint8Array) return { bytes: source, name: `of ${source.length} bytes`, isOwn: false };
  if (source instanceof ArrayBuffer) return readSource(new Uint8Array(source), options, noun);
  if (source instanceof Blob) {
    const name = "name" in source ? `file ${source.name}` : `in a Blob of ${source.size} bytes`;
    return { bytes: new Uint8Array(await source.arrayBuffer()), name, isOwn: true };
  }
  if (typeof source !== "string" && !(source instanceof URL)) {
    const decoded = noun === "Image" ? "{ data, width, height }" : "{ frames: [...], metadata }";
    throw mediaError(
      noun,
      `must be a path, a URL, bytes, a Blob, or ${decoded}; got ${source === null ? "null" : typeof source}.`,
    );
  }
  const name = shorten(String(source));
  try {
    return { bytes: await readAddress(source, options), name, isOwn: true };
  } catch (cause) {
    throwIfAborted(options.signal);
    if (cause instanceof GlimtError) throw cause;
    throw mediaError(noun, `${name} can not be read: ${reason(cause)}`, cause);
  }
}

async function readAddress(address: string | URL, { readFile, signal }: SourceOptions): Promise<Uint8Array> {
  const text = String(address);
  const isRemote = /^(https?|data|blob):/i.test(text);
  if (!isRemote && readFile) return readFile(/^file:/i.test(text) ? new URL(text) : address);
  const response = await fetch(address, signal ? { signal } : {});
  if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`.trim());
  return new Uint8Array(await response.arrayBuffer());
}

function shorten(address: string): string {
  return address.length > 120 ? `${address.slice(0, 60)}... (${address.length} characters)` : address;
}

function reason(cause: unknown): string {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
