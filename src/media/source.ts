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
 * A file path (or a relative URL where there are no files), an http(s), file or data URL, the bytes of a PNG, JPEG
 * or WebP file, a Blob of them, or decoded pixels.
 */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer | Blob | RawImage;

export interface SourceOptions {
  /** Reads a local file; environments without one fetch paths as relative URLs. */
  readonly readFile?: ((path: string | URL) => Promise<Uint8Array>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface EncodedImage {
  readonly bytes: Uint8Array;
  /** What to call it in an error. */
  readonly name: string;
}

export function isRawImage(source: ImageSource): source is RawImage {
  return typeof source === "object" && "data" in source && "width" in source;
}

/** The encoded bytes of a source. @throws IMAGE_INVALID naming the source when they can not be had. */
export async function readSource(
  source: Exclude<ImageSource, RawImage>,
  options: SourceOptions,
): Promise<EncodedImage> {
  throwIfAborted(options.signal);
  if (source instanceof Uint8Array) return { bytes: source, name: `an image of ${source.length} bytes` };
  if (source instanceof ArrayBuffer) return readSource(new Uint8Array(source), options);
  if (source instanceof Blob) {
    const name = "name" in source ? `file ${source.name}` : `a Blob of ${source.size} bytes`;
    return { bytes: new Uint8Array(await source.arrayBuffer()), name };
  }
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw new GlimtError(
      "IMAGE_INVALID",
      "An image must be a path, a URL, bytes, a Blob, or { data, width, height }; " +
        `got ${source === null ? "null" : typeof source}.`,
    );
  }
  const name = shorten(String(source));
  try {
    return { bytes: await readAddress(source, options), name };
  } catch (cause) {
    throwIfAborted(options.signal);
    if (cause instanceof GlimtError) throw cause;
    throw new GlimtError("IMAGE_INVALID", `Image ${name} can not be read: ${reason(cause)}`, { cause });
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
