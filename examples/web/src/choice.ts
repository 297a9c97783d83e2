/** Which model, and how it is loaded. */
import type { HubOptions, LoadOptions, ModelLocation } from "glimt";

export interface ModelChoice {
  /** What the page calls it. */
  readonly name: string;
  readonly location: ModelLocation;
  /** Storage of the weights; as published where it is left out. */
  readonly dtype?: "q8" | "q4";
  readonly detail: Detail;
  readonly hub?: HubOptions;
}

/** How much of a picture or video the model is given: its vision tower is what takes long on a processor. */
export type Detail = "quick" | "full";

export const DEMO: ModelChoice = {
  name: "Demo reader",
  location: "./demo/checkpoint/",
  detail: "quick",
};

/** Models of the Hub to suggest. */
export const SUGGESTED = ["zai-org/GLM-OCR", "zai-org/GLM-4.6V-Flash", "zai-org/GLM-4.1V-9B-Thinking"];

const QUICK_PIXELS = 1_000_000;
const QUICK_FRAMES = 16;

export function loadOptions({ dtype, detail, hub }: ModelChoice): LoadOptions {
  return {
    attention: true,
    ...(dtype && { dtype }),
    ...(hub && { hub }),
    ...(detail === "quick" && { maxImagePixels: QUICK_PIXELS }),
  };
}

/** Most frames of a video; undefined: as the model chooses. */
export function mostFrames({ detail }: ModelChoice): number | undefined {
  return detail === "quick" ? QUICK_FRAMES : undefined;
}
