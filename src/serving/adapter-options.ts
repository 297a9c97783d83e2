/** What a caller may say about adapters, checked. */

import type { ModelLocation } from "../checkpoint/location.ts";
import { GlimtError } from "../errors.ts";
import { readList, readOptions, shown } from "../given.ts";

/** An adapter, and what requests call it. */
export interface AdapterSource {
  /** What requests call it. */
  readonly name: string;
  /** Where adapter_config.json and adapter_model.safetensors lie. */
  readonly location: ModelLocation;
  /** Strength beside the adapter's own scaling, for requests that give none (default 1). */
  readonly scale?: number | undefined;
}

/** An adapter to load with the model. */
export interface AdapterAtLoad extends AdapterSource {
  /** Merge it into the weights while they are read: it costs nothing afterwards, and can not be left out or unloaded. */
  readonly merge?: boolean | undefined;
}

/** An adapter for a request: by name, at the strength it was loaded with or at another. */
export type AdapterChoice =
  | string
  | {
      /** What it was loaded as. */
      readonly name: string;
      /** Its strength for this request; default: as it was loaded. */
      readonly scale?: number | undefined;
    };

/** A copy of what a caller says, checked. @throws OPTION_INVALID */
export function readAdapterSource<Source extends AdapterSource>(
  given: Source,
  known: readonly (keyof Source & string)[],
): Source {
  if (typeof given !== "object" || given === null) {
    throw new GlimtError("OPTION_INVALID", `An adapter is { name, location }, found ${shown(given)}.`);
  }
  const source = readOptions(given, "an adapter", known, { merge: "boolean" });
  const { name, location, scale = 1 } = source;
  if (typeof name !== "string" || name === "") {
    throw new GlimtError("OPTION_INVALID", "An adapter needs a name, by which requests ask for it.");
  }
  if (location === undefined || location === null) {
    throw new GlimtError("OPTION_INVALID", `Adapter "${name}" needs a location: the directory it lies in.`);
  }
  checkScale(name, scale);
  return source;
}

/** @throws OPTION_INVALID naming what is wrong with the list. */
export function adapterChoices(choices: readonly AdapterChoice[]): { name: string; scale?: number }[] {
  if (!Array.isArray(choices)) {
    throw new GlimtError("OPTION_INVALID", "adapters must be a list of names or of { name, scale }.");
  }
  const names = new Set<string>();
  return readList(choices, "adapters", "OPTION_INVALID").map((choice: AdapterChoice) => {
    const { name, scale } =
      typeof choice === "object" && choice !== null
        ? readOptions(choice, "an adapter", ["name", "scale"])
        : { name: choice, scale: undefined };
    if (typeof name !== "string") {
      throw new GlimtError("OPTION_INVALID", "adapters must be a list of names or of { name, scale }.");
    }
    if (names.has(name)) throw new GlimtError("OPTION_INVALID", `adapters names "${name}" twice.`);
    names.add(name);
    if (scale === undefined) return { name };
    checkScale(name, scale);
    return { name, scale };
  });
}

function checkScale(name: string, scale: number): void {
  if (typeof scale === "number" && Number.isFinite(scale)) return;
  throw new GlimtError("OPTION_INVALID", `Adapter "${name}": scale is ${shown(scale)}, expected a number.`);
}
