/** Which part of the model a module belongs to, by its published path: what adapters are addressed by. */

/** A part of a model that an adapter may change. */
export type ModelPart = "language" | "connector" | "tower";

/** The first prefix that fits decides. */
export const MODULE_MAP: readonly (readonly [prefix: string, part: ModelPart])[] = [
  ["model.language_model.", "language"],
  ["lm_head", "language"],
  ["model.visual.merger.", "connector"],
  ["model.visual.downsample", "connector"],
  ["model.visual.", "tower"],
];

/** Null for a path that is in no model of the family. */
export function modelPart(path: string): ModelPart | null {
  return MODULE_MAP.find(([prefix]) => path.startsWith(prefix))?.[1] ?? null;
}
