/** What a caller may say about adapters, checked. */

import type { ModelLocation } from "../checkpoint/location.ts";
import { GlimtError } from "../errors.ts";
import { rejectUnknownOptions } from "../unknown-options.ts";

export interface AdapterSource {
  /** What requests call it. */
  readonly name: string;
  /** Where adapter_config.json and adapter_model.safetensors lie. */
  readonly location: ModelLocation;
  /** Strength beside the adapter's own scaling, for requests that give none (default 1). */
  readonly scale?: number | undefined;
}

export interface AdapterAtLoad extends AdapterSource {
  /** Merge it into the weights while they are read: it costs nothing afterwards, and can not be left out or unloaded. */
  readonly merge?: boolean | undefined;
}

/** An adapter for a request: by name, at the strength it was loaded with or at another. */
export type AdapterChoice = string | { readonly name: string; readonly scale?: number | undefined };

/** @throws OPTION_INVALID */
export function checkAdapterSource(source: AdapterSource, known: readonly string[]): void {
  if (typeof source !== "object" || source === null) {
    throw new GlimtError("OPTION_INVALID", `An adapter is { name, location }, found ${String(source)}.`);
  }
  rejectUnknownOptions(source, known, "an adapter");
  const { name, location, scale = 1 } = source;
  if (typeof name !== "string" || name === "") {
    throw new GlimtError("OPTION_INVALID", "An adapter needs a name, by which requests ask for it.");
  }
  if (location === undefined || location === null) {
    throw new GlimtError("OPTION_INVALID", `Adapter "${name}" needs a location: the directory it lies in.`);
  }
  checkScale(name, scale);
}

/** @throws OPTION_INVALID naming what is wrong with the list. */
export function adapterChoices(choices: readonly AdapterChoice[]): { name: string; scale?: number }[] {
  if (!Array.isArray(choices)) {
    throw new GlimtError("OPTION_INVALID", "adapters must be a list of names or of { name, scale }.");
  }
  const names = new Set<string>();
  return choices.map((choice: AdapterChoice) => {
    const { name, scale } = typeof choice === "string" ? { name: choice, scale: undefined } : (choice ?? {});
    if (typeof name !== "string") {
      throw new GlimtError("OPTION_INVALID", "adapters must be a list of names or of { name, scale }.");
    }
    if (typeof choice === "object") rejectUnknownOptions(choice, ["name", "scale"], `adapter "${name}"`);
    if (names.has(name)) throw new GlimtError("OPTION_INVALID", `adapters names "${name}" twice.`);
    names.add(name);
    if (scale === undefined) return { name };
    checkScale(name, scale);
    return { name, scale };
  });
}

function checkScale(name: string, scale: number): void {
  if (typeof scale === "number" && Number.isFinite(scale)) return;
  throw new GlimtError("OPTION_INVALID", `Adapter "${name}": scale is ${scale}, expected a number.`);
}
