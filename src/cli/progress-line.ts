/** One line on stderr that shows how far long work is; nothing when stderr is no terminal. */

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
