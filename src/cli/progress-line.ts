/** One line on stderr that shows how far long work is; nothing when stderr is no terminal. */
import type { DownloadProgress } from "../index.ts";

export interface ProgressLine {
  show(what: string, share: number): void;
  clear(): void;
}

export function progressLine(wanted: boolean): ProgressLine {
  const active = wanted && process.stderr.isTTY === true;
  let shown = "";
  const write = (text: string) => {
    if (text === shown) return;
    process.stderr.write(`\r\x1b[K${text}`);
    shown = text;
  };
  return {
    show(what, share) {
      if (active) write(`${what} ${Math.floor(100 * share)} %`);
    },
    clear() {
      if (active) write("");
    },
  };
}

/** What is shown of a download: how much of it, how fast, and how long it may still take. */
export function downloadShown(progress: DownloadProgress): [what: string, share: number] {
  const { downloadedBytes, totalBytes, bytesPerSecond, secondsLeft } = progress;
  const size = `${(downloadedBytes / 1e6).toFixed(0)} of ${(totalBytes / 1e6).toFixed(0)} MB`;
  const speed = bytesPerSecond === null ? "" : `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
  const left = secondsLeft === null ? "" : `, ${duration(secondsLeft)} left`;
  return [`downloading ${size}${speed}${left},`, totalBytes === 0 ? 1 : downloadedBytes / totalBytes];
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
