/** One model at a time: loaded with its progress, given up for the next. */
import { loadModel, type Model } from "glimt";
import { loadOptions, type ModelChoice } from "./choice.ts";
import { bytes, timeLeft } from "./format.ts";
import { Rate } from "./rate.ts";

export interface Progress {
  readonly name: string;
  readonly detail: string;
  /** 0..1 */
  readonly share: number;
}

export class ModelHolder {
  model: Model | null = null;
  #choice: ModelChoice | null = null;
  #control: AbortController | null = null;

  /** Whether one is on its way. */
  get isLoading(): boolean {
    return this.#control !== null;
  }

  /** What is loaded, or was asked for last. */
  get choice(): ModelChoice | null {
    return this.#choice;
  }

  /**
   * Gives up the model that is there, so that both never need memory at one time. @throws what `loadModel` does; ABORTED
   * when it was cancelled, or another was asked for
   */
  async load(choice: ModelChoice, onProgress: (progress: Progress) => void): Promise<Model> {
    this.#control?.abort();
    const control = new AbortController();
    this.#control = control;
    this.#choice = choice;
    try {
      this.model = await this.#loaded(choice, control.signal, onProgress);
      return this.model;
    } finally {
      if (this.#control === control) this.#control = null;
    }
  }

  async #loaded(
    choice: ModelChoice,
    signal: AbortSignal,
    onProgress: (progress: Progress) => void,
  ): Promise<Model> {
    const former = this.model;
    this.model = null;
    await former?.dispose();
    const model = await loadModel(choice.location, {
      ...loadOptions(choice),
      signal,
      onDownload: ({ file, downloadedBytes, totalBytes, bytesPerSecond, secondsLeft }) =>
        onProgress({
          name: `Downloading ${choice.name}`,
          detail: [amount(downloadedBytes, totalBytes), speed(bytesPerSecond), left(secondsLeft), file].join(
            " ",
          ),
          share: share(downloadedBytes, totalBytes),
        }),
      onProgress: weightProgress(choice, onProgress),
    });
    if (signal.aborted) {
      await model.dispose();
      signal.throwIfAborted();
    }
    return model;
  }

  cancel(): void {
    this.#control?.abort();
  }

  /** Its worker has ended: nothing of it is left to give up. */
  lose(): void {
    this.model = null;
  }
}

function weightProgress({ name }: ModelChoice, onProgress: (progress: Progress) => void) {
  const rate = new Rate();
  return ({ loadedBytes, totalBytes }: { readonly loadedBytes: number; readonly totalBytes: number }) => {
    const found = rate.add(loadedBytes);
    const seconds = found ? (totalBytes - loadedBytes) / found : null;
    onProgress({
      name: `Loading ${name}`,
      detail: [amount(loadedBytes, totalBytes), speed(found), left(seconds)].join(" "),
      share: share(loadedBytes, totalBytes),
    });
  };
}

function amount(done: number, total: number): string {
  return `${bytes(done)} of ${bytes(total)}`;
}

function speed(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? "" : `${bytes(bytesPerSecond)}/s`;
}

function left(seconds: number | null): string {
  return seconds === null ? "" : timeLeft(seconds);
}

function share(done: number, total: number): number {
  return total === 0 ? 0 : done / total;
}
