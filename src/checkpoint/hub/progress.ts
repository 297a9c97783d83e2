/** How far a download is, and how long it may still take. */

export interface DownloadProgress {
  /** The file that is being downloaded. */
  readonly file: string;
  /** Of all files that are asked for and were not in the cache; what an earlier download left counts as there. */
  readonly downloadedBytes: number;
  /** Bytes of all of them. */
  readonly totalBytes: number;
  /** Over the last seconds; null before there is anything to go by. */
  readonly bytesPerSecond: number | null;
  /** At that rate; null without one. */
  readonly secondsLeft: number | null;
}

const WINDOW_MS = 10_000;
/** Before it a rate says little. */
const FIRST_MS = 500;
const REPORT_MS = 100;

export class DownloadMeter {
  readonly #total: number;
  readonly #report: (progress: DownloadProgress) => void;
  readonly #now: () => number;
  readonly #samples: { readonly time: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #arrived = 0;
  #reported = Number.NEGATIVE_INFINITY;
  file = "";

  constructor(total: number, report: (progress: DownloadProgress) => void, now = () => performance.now()) {
    this.#total = total;
    this.#report = report;
    this.#now = now;
    this.#samples.push({ time: now(), bytes: 0 });
  }

  /** `bytes` are there now. Those that were there before (`isOld`) say nothing of the rate. */
  add(bytes: number, isOld = false): void {
    this.#bytes += bytes;
    if (!isOld) this.#arrived += bytes;
    const time = this.#now();
    if (time - this.#reported < REPORT_MS && this.#bytes < this.#total) return;
    this.#reported = time;
    this.#samples.push({ time, bytes: this.#arrived });
    while (this.#samples.length > 2 && (this.#samples[1]?.time ?? time) < time - WINDOW_MS) {
      this.#samples.shift();
    }
    const [first] = this.#samples;
    const took = time - (first?.time ?? time);
    const rate = took < FIRST_MS ? null : (1000 * (this.#arrived - (first?.bytes ?? 0))) / took;
    this.#report({
      file: this.file,
      downloadedBytes: this.#bytes,
      totalBytes: this.#total,
      bytesPerSecond: rate,
      secondsLeft: rate === null || rate <= 0 ? null : (this.#total - this.#bytes) / rate,
    });
  }
}
