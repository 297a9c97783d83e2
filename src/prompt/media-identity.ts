/** What tells an image or video from all others: a hash of what the vision tower is given. */
import { sha256InTurns } from "../checkpoint/hub/sha256.ts";
import { throwIfAborted } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import type { VisionItem } from "./vision-items.ts";

/** Of items that were hashed once, as those of several answers to one prompt are. */
const known = new WeakMap<VisionItem, string>();

/** Of a digest, which copies them on this thread: a long video has hundreds of MiB. */
const BYTES_A_DIGEST = 2 ** 22;

/**
 * Two items have the same identity only if they have the same features (of one model with the same adapters), or if a caller
 * says so by `uuid`: SHA-256 of the bytes, since strangers' pictures must not be mistaken for others' by design (of more
 * than one digest takes, those of its pieces; how many values there are is said beside it); browsers that have no digest
 * (pages that are not secure) get one in JavaScript, a turn a MiB.
 */
async function mediaIdentity(item: VisionItem, signal?: AbortSignal): Promise<string> {
  const { uuid, gridThw, labels = [] } = item;
  // Whether it comes as pixels or as features of these is no matter then.
  if (uuid !== undefined && gridThw) return `${gridThw.join(" ")} uuid ${JSON.stringify([uuid, ...labels])}`;
  if ("embeddings" in item) {
    const named = uuid === undefined ? await sha256(item.embeddings, signal) : `uuid ${uuid}`;
    return `features ${item.embeddings.length} ${named}`;
  }
  return `pixels ${item.gridThw.join(" ")} ${await sha256(item.pixelValues, signal)}`;
}

/** Those of all items. @throws ABORTED */
export async function mediaIdentities(
  items: readonly VisionItem[],
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const identities: string[] = [];
  for (const item of items) {
    const identity = known.get(item) ?? (await mediaIdentity(item, signal));
    known.set(item, identity);
    identities.push(identity);
  }
  throwIfAborted(signal);
  return identities;
}

async function sha256(values: Float32Array, signal?: AbortSignal): Promise<string> {
  const { buffer, byteOffset, byteLength } = values;
  const subtle = globalThis.crypto?.subtle;
  // A digest takes no shared memory.
  if (subtle && buffer instanceof ArrayBuffer) {
    const digests: string[] = [];
    for (let at = 0; at === 0 || at < byteLength; at += BYTES_A_DIGEST) {
      await turnWhenDue(signal);
      const piece = new Uint8Array(buffer, byteOffset + at, Math.min(BYTES_A_DIGEST, byteLength - at));
      digests.push(hex(await subtle.digest("SHA-256", piece)));
    }
    const [first, ...others] = digests as [string, ...string[]];
    if (others.length === 0) return first;
    return hex(await subtle.digest("SHA-256", new TextEncoder().encode(digests.join(""))));
  }
  return sha256InTurns(new Uint8Array(buffer, byteOffset, byteLength), signal);
}

function hex(digest: ArrayBuffer): string {
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
