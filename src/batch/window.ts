/** How much of a batch is in memory at once: lines under way, lines that wait for their turn to be written, bytes. */

export interface WindowLimits {
  /** Most lines that are being answered. */
  readonly running: number;
  /** Most lines that are begun and not written. */
  readonly begun: number;
  /** Most bytes of lines that are begun; a single line may have more. */
  readonly bytes: number;
}

export class Window {
  readonly #limits: WindowLimits;
  #running = 0;
  #begun = 0;
  #bytes = 0;
  #wake: () => void = () => {};

  constructor(limits: WindowLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  /** Waits for room for a line of so many bytes, and takes it; false where `isOver` says meanwhile that no line is wanted. */
  async enter(bytes: number, isOver: () => boolean): Promise<boolean> {
    const { running, begun, bytes: most } = this.#limits;
    const isFull = () =>
      this.#running >= running || this.#begun >= begun || (this.#begun > 0 && this.#bytes + bytes > most);
    while (!isOver() && isFull()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (isOver()) return false;
    this.#running++;
    this.#begun++;
    this.#bytes += bytes;
    return true;
  }

  /** A line was answered; what was asked is let go. */
  answered(bytes: number): void {
    this.#running--;
    this.#bytes -= bytes;
    this.#wake();
  }

  written(): void {
    this.#begun--;
    this.#wake();
  }

  /** Looks again whether it is over. */
  wake(): void {
    this.#wake();
  }
}
