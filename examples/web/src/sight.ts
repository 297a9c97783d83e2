/** What the model sees, in figures and pictures: sizes, tokens, frames, positions. */
import type { ProcessedInputs, TakenFrames } from "glimt";
import { framesSvg } from "../../../src/views/frames.ts";
import { countOf } from "../../../src/views/markup.ts";
import { positionsSvg } from "../../../src/views/positions.ts";
import { VIEW_STYLE } from "../../../src/views/style.ts";
import { byId, element, showFacts } from "./dom.ts";
import type { Seen } from "./seen.ts";

export class Sight {
  readonly #frames = byId("frames", HTMLElement);
  #drawing: AbortController | null = null;

  constructor() {
    const style = new CSSStyleSheet();
    style.replaceSync(VIEW_STYLE);
    document.adoptedStyleSheets.push(style);
  }

  clear(): void {
    this.#drawing?.abort();
    byId("sees", HTMLElement).hidden = true;
  }

  /** @param onFrame told which frame is wanted in the viewer */
  show(inputs: ProcessedInputs, seen: Seen | null, onFrame: (frame: number) => void): void {
    this.#drawing?.abort();
    showFacts(byId("facts", HTMLElement), factsOf(inputs, seen));
    const { positionIds, media } = inputs;
    byId("positions-plot", HTMLElement).innerHTML = positionsSvg({ positionIds, media });
    const frames = seen?.facts.source?.frames;
    byId("video", HTMLElement).hidden = !frames;
    if (seen && frames) this.#showFrames(seen, frames, onFrame);
    byId("sees", HTMLElement).hidden = false;
  }

  #showFrames(seen: Seen, taken: TakenFrames, onFrame: (frame: number) => void): void {
    const control = new AbortController();
    this.#drawing = control;
    const { indices, timestamps, numFrames } = taken;
    const frames = indices.map((index, place) => ({ index, seconds: timestamps[place] ?? 0 }));
    byId("frames-plot", HTMLElement).innerHTML = framesSvg({ frames, numFrames });
    const canvases = frames.map(({ index, seconds }, place) => {
      const canvas = element("canvas");
      const name = `${seconds.toFixed(1)} s`;
      const button = element(
        "button",
        { type: "button", className: "taken" },
        canvas,
        element("span", {}, name),
      );
      button.setAttribute("aria-label", `Frame ${index} at ${name}`);
      button.addEventListener("click", () => onFrame(Math.floor(place / seen.framesATime)));
      return { canvas, button };
    });
    this.#frames.replaceChildren(...canvases.map(({ button }) => button));
    drawThumbnails(
      seen,
      canvases.map(({ canvas }) => canvas),
      control.signal,
    ).catch((error) => {
      if (!control.signal.aborted) throw error;
    });
  }
}

/** One after the other: each is drawn as large as the model has it first. */
async function drawThumbnails(
  seen: Seen,
  canvases: readonly HTMLCanvasElement[],
  signal: AbortSignal,
): Promise<void> {
  const whole = document.createElement("canvas");
  for (const [frame, canvas] of canvases.entries()) {
    await seen.draw(whole, frame, signal);
    canvas.width = THUMBNAIL;
    canvas.height = Math.max(1, Math.round((THUMBNAIL * whole.height) / whole.width));
    canvas.getContext("2d")?.drawImage(whole, 0, 0, canvas.width, canvas.height);
  }
}

const THUMBNAIL = 192;

function factsOf(inputs: ProcessedInputs, seen: Seen | null): [string, string][] {
  const rows: [string, string][] = [];
  if (seen) {
    const { facts, patchSize, grid } = seen;
    const [, h, w] = facts.gridThw;
    const [times, rowsOfTokens, columns] = grid;
    const what = facts.type === "image" ? "Picture" : "Frame";
    if (facts.source) {
      const { width, height, resizedWidth, resizedHeight, frames } = facts.source;
      rows.push([`${what} given`, `${width} × ${height} px`]);
      rows.push([`${what} seen`, `${resizedWidth} × ${resizedHeight} px`]);
      if (frames) rows.push(["Frames taken", `${frames.indices.length} of ${frames.numFrames}`]);
    }
    rows.push(["Patches", `${h * w * times} of ${patchSize} px`]);
    const product = [...(times > 1 ? [times] : []), rowsOfTokens, columns].join(" × ");
    rows.push([
      facts.type === "image" ? "Tokens of the picture" : "Tokens of the video",
      `${facts.numTokens} (${product})`,
    ]);
  }
  rows.push(["Whole prompt", countOf(inputs.promptTokens, "token")]);
  return rows;
}
