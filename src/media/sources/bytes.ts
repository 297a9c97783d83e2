/** Bytes that a caller holds: arrays, buffers, Blobs, whichever window or library made them. */
import { cut } from "./address.ts";
import { checkSize, moreThanLimit, type Reading } from "./reading.ts";

/** Undefined for what holds no bytes. @throws Error for one that was given away or is of other elements; SOURCE_TOO_LARGE */
export function bytesHeld(
  source: unknown,
  limit: Pick<Reading, "what" | "maxBytes">,
): Uint8Array | undefined {
  if (ArrayBuffer.isView(source)) {
    if (!/^(Uint8|Uint8Clamped|Int8)Array$|^DataView$/.test(tagOf(source))) {
      throw new Error(`its bytes are in a ${tagOf(source)}; give a Uint8Array`);
    }
    return stable(source.buffer, ...placeOf(source), limit);
  }
  if (!isBuffer(source)) return undefined;
  return stable(source, 0, source.byteLength, limit);
}

/** Bytes of an array or buffer, undefined for what is none; a DataView whose buffer was given away does not say. */
export function byteLengthOf(source: unknown): number | undefined {
  try {
    const size = (source as { byteLength?: unknown } | null | undefined)?.byteLength;
    return typeof size === "number" ? size : undefined;
  } catch {
    return 0;
  }
}

/** Offset and length; of an array whose buffer was given away they are 0, and a DataView has none. */
function placeOf(view: ArrayBufferView): [offset: number, length: number] {
  try {
    return [view.byteOffset, view.byteLength];
  } catch (cause) {
    throw givenAway(cause);
  }
}

function givenAway(cause: unknown): Error {
  return new Error("its buffer was given away (transferred) or shrank; give the bytes before that", {
    cause,
  });
}

/** Views of memory that others may change or resize are copied, once. */
function stable(
  buffer: ArrayBufferLike,
  offset: number,
  length: number,
  limit: Pick<Reading, "what" | "maxBytes">,
): Uint8Array {
  checkSize(length, limit);
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(buffer, offset, length);
  } catch (cause) {
    throw givenAway(cause);
  }
  const { resizable, growable } = buffer as { resizable?: boolean; growable?: boolean };
  return tagOf(buffer) !== "ArrayBuffer" || resizable || growable ? new Uint8Array(bytes) : bytes;
}

export function isBlob(source: unknown): source is Blob {
  return source instanceof Blob || /^(Blob|File)$/.test(tagOf(source));
}

export function blobName(blob: Blob): string {
  return "name" in blob ? `file ${cut(String(blob.name))}` : `in a Blob of ${blob.size} bytes`;
}

/** All of a Blob. @throws SOURCE_TOO_LARGE */
export async function readBlob(blob: Blob, reading: Reading): Promise<Uint8Array> {
  checkSize(blob.size, reading);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (bytes.length > reading.maxBytes) throw moreThanLimit(reading);
  return bytes;
}

function isBuffer(source: unknown): source is ArrayBufferLike {
  return /^(Shared)?ArrayBuffer$/.test(tagOf(source));
}

/** The name of a built-in class, of whichever window. */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
