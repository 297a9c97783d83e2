/** A picture or a video as a caller holds it, read once: decoded pixels, frames and features are objects of the caller's. */
import { GlimtError } from "../errors.ts";
import { copiedLists, isList, readList, readOnce, readPlain, shown } from "../given.ts";

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
    if ("frames" in given) checkFrameFields(given);
    const held: Record<string, unknown> = {};
    for (const name of FIELDS) {
      if (name in given) held[name] = fieldOf(name, (given as Record<string, unknown>)[name]);
    }
    return held as Source;
  });
}

/** What is known of frames stands in their metadata; beside it nothing would read it. */
function checkFrameFields(given: object): void {
  const unknown = Object.keys(given).find((key) => key !== "frames" && key !== "metadata");
  if (unknown === undefined) return;
  throw new GlimtError(
    "INPUT_INVALID",
    `A video of frames has no field ${shown(unknown)}; it has frames and metadata (fps, duration and so on).`,
  );
}

function fieldOf(name: string, value: unknown): unknown {
  if (name === "frames")
    return isList(value, name) ? readList(Array.from(value), name).map(heldSource) : value;
  if (name === "metadata") return readPlain(value, name);
  return name === "gridThw" || name === "labels" ? copiedLists(value, name) : value;
}
