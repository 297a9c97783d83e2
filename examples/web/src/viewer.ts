/** The picture: the visitor's file at first, then what the model is given of it, its patches, and where an answer looks. */
import { patchGridSvg } from "../../../src/views/patch-grid.ts";
import { paintAttention } from "./attention-layer.ts";
import { byId } from "./dom.ts";
import type { Media } from "./media.ts";
import type { Seen } from "./seen.ts";

/** Of a file that browsers may read for a preview, which they do on the page's thread. */
const PREVIEWED_BYTES = 12 << 20;

export class Viewer {
  readonly #picture = byId("picture", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #preview = byId("preview", HTMLImageElement);
  readonly #canvas = byId("seen", HTMLCanvasElement);
  readonly #grid = byId("grid", HTMLElement);
  readonly #attention = byId("attention", HTMLCanvasElement);
  readonly #frame = byId("frame", HTMLInputElement);
  readonly #showGrid = byId("show-grid", HTMLInputElement);
  readonly #showAttention = byId("show-attention", HTMLInputElement);
  #seen: Seen | null = null;
  #weights: Float32Array | null = null;
  #address: string | null = null;
  #drawing: AbortController | null = null;

  constructor() {
    this.#showGrid.addEventListener("change", () => this.#layers());
    this.#showAttention.addEventListener("change", () => this.#layers());
    this.#frame.addEventListener("input", () => this.showFrame(Number(this.#frame.value)));
    // What browsers can not show, as TIFF, is shown when the model has read it; until then it has a name.
    this.#preview.addEventListener("error", () => {
      this.#preview.hidden = true;
      if (!this.#canvas.hidden) return;
      this.#picture.hidden = true;
      this.#empty.hidden = false;
    });
    this.#preview.addEventListener("load", () => {
      if (!this.#preview.hidden) this.#shape(this.#preview.naturalWidth, this.#preview.naturalHeight);
    });
  }

  /** A new picture or video, which the model has not seen yet. */
  showMedia({ kind, file, name }: Media): void {
    this.#drawing?.abort();
    this.#seen = null;
    this.#weights = null;
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = null;
    this.#canvas.hidden = true;
    // Of a video, and of a file that browsers take long to read, what the model is given is shown alone.
    const hasPreview = kind === "image" && file.size <= PREVIEWED_BYTES;
    this.#preview.hidden = this.#picture.hidden = !hasPreview;
    if (hasPreview) this.#preview.src = this.#address = URL.createObjectURL(file);
    this.#preview.alt = name;
    this.#empty.hidden = hasPreview;
    this.#empty.textContent = name;
    this.#layers();
  }

  /** What the model is given. */
  async showSeen(seen: Seen): Promise<void> {
    this.#seen = seen;
    this.#weights = null;
    const [t] = seen.grid;
    this.#frame.max = String(t - 1);
    this.#grid.innerHTML = patchGridSvg(seen.patches);
    await this.showFrame(0);
  }

  /** @param frame counts what one token stands for in time */
  async showFrame(frame: number): Promise<void> {
    const seen = this.#seen;
    if (!seen) return;
    this.#frame.value = String(frame);
    this.#drawing?.abort();
    const control = new AbortController();
    this.#drawing = control;
    try {
      await seen.draw(this.#canvas, frame * seen.framesATime, control.signal);
    } catch (error) {
      // Another frame or picture was asked for.
      if (control.signal.aborted) return;
      throw error;
    }
    this.#shape(this.#canvas.width, this.#canvas.height);
    this.#picture.hidden = this.#canvas.hidden = false;
    this.#preview.hidden = this.#empty.hidden = true;
    this.#layers();
  }

  /** The picture is as large as there is room for it, whatever its pixels. */
  #shape(width: number, height: number): void {
    this.#picture.style.setProperty("--ratio", String(width / height));
  }

  /** Where a token of the answer looks, of all frames; null: nowhere. */
  showAttention(weights: Float32Array | null): void {
    this.#weights = weights;
    this.#layers();
  }

  #layers(): void {
    const seen = this.#seen;
    const isSeen = seen !== null && !this.#canvas.hidden;
    const weights = this.#showAttention.checked ? this.#weights : null;
    byId("layers", HTMLElement).hidden = !isSeen;
    this.#grid.hidden = !(isSeen && this.#showGrid.checked);
    this.#attention.hidden = !(isSeen && weights);
    byId("legend", HTMLElement).hidden = this.#attention.hidden;
    byId("frame-row", HTMLElement).hidden = !(seen && seen.grid[0] > 1);
    if (!seen) return;
    const frame = Number(this.#frame.value);
    byId("frame-name", HTMLElement).textContent = frameName(seen, frame);
    if (weights) paintAttention(this.#attention, seen.grid, weights, frame);
  }
}

function frameName({ facts, grid }: Seen, frame: number): string {
  const label = facts.labels[frame];
  const time = label === undefined ? "" : `, at ${label.trim()}`;
  return `Frame ${frame + 1} of ${grid[0]}${time}`;
}
