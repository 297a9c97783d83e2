/** A picture or a video as a caller holds it, read once: decoded pixels, frames and features are objects of the caller's. */
import { copiedLists, isList, readList, readOnce, readPlain } from "../given.ts";

/** Of decoded pixels, of features, and of frames. */
const FIELDS = [
  "data",
  "width",
  "height",
  "channels",
  "embeddings",
  "gridThw",
  "labels",
  "frames",
  "metadata",
];
/** Sources that are objects themselves. */
const OWN_TYPES = ["ArrayBuffer", "SharedArrayBuffer", "URL", "Blob", "File"];

/** @throws INPUT_INVALID when it can not be read */
export function heldSource<Source>(given: Source): Source {
  if (typeof given !== "object" || given === null || ArrayBuffer.isView(given)) return given;
  return readOnce("the source", () => {
    if (OWN_TYPES.includes(Object.prototype.toString.call(given).slice(8, -1))) return given;
    const held: Record<string, unknown> = {};
    for (const name of FIELDS) {
      if (name in given) held[name] = fieldOf(name, (given as Record<string, unknown>)[name]);
    }
    return held as Source;
  });
}

function fieldOf(name: string, value: unknown): unknown {
  if (name === "frames")
    return isList(value, name) ? readList(Array.from(value), name).map(heldSource) : value;
  if (name === "metadata") return readPlain(value, name);
  return name === "gridThw" || name === "labels" ? copiedLists(value, name) : value;
}
