/** Which model a session is of: keys and values are a function of it and of the rows. */
import type { StageName } from "../../models/stages.ts";
import type { ModelParts } from "../model-core.ts";
import { sha256 } from "./digest.ts";
import { invalid, type SessionHeader, type SessionModel } from "./layout.ts";

/** @param withDrafter whether the layer that drafts has a part of the pages */
export async function sessionModel(
  { config, pool, stages, weightsIdentity }: ModelParts,
  withDrafter: boolean,
): Promise<SessionModel> {
  const read: readonly StageName[] = ["vision", withDrafter ? "drafting" : "decoder"];
  const programs = stages.filter(({ name }) => read.includes(name)).map(({ program }) => program);
  const names = new Set(programs.flatMap(({ weights }) => weights.map(({ name }) => name)));
  const { dtype, pageSize, pageElements, numLayers } = pool.layout;
  return {
    config: await configDigest(config),
    weights: weightsIdentity.of(names),
    dtype,
    pageSize,
    pageElements,
    layers: withDrafter ? numLayers : config.text.numHiddenLayers,
  };
}

/** Why a model has no tower may be said with a path in it. */
async function configDigest({ textOnly, ...config }: ModelParts["config"]): Promise<string> {
  const text = JSON.stringify({ ...config, textOnly: textOnly !== null });
  const digest = await sha256(new TextEncoder().encode(text));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @throws SESSION_INVALID saying what is different */
export async function checkModel(header: SessionHeader, parts: ModelParts): Promise<void> {
  const { config, drafting } = parts;
  if (header.withDrafter && !drafting) {
    throw invalid("it was saved with the layer that drafts (MTP), which this model has not loaded");
  }
  const own = await sessionModel(parts, header.withDrafter);
  if (header.config !== own.config) throw invalid("it is of another model: the configurations differ");
  if (header.weights !== own.weights) {
    throw invalid(
      "it is of other weights: of another checkpoint, another dtype, or with other merged adapters",
    );
  }
  if (header.dtype !== own.dtype) {
    throw invalid(
      `its keys and values are ${header.dtype}, and those of this model ${own.dtype}: load it with that kvCacheDtype`,
    );
  }
  const sizes = ["pageSize", "pageElements", "layers"] as const;
  const other = sizes.find((name) => header[name] !== own[name]);
  if (other) throw invalid(`${other} is ${header[other]}, and of this model ${own[other]}`);
  const most = Math.floor(config.text.maxPositionEmbeddings / own.pageSize);
  if (header.pages > most)
    throw invalid(`it has ${header.pages} pages, and the context has room for ${most}`);
}
