/**
 * A stretch of an answer without the newlines around its markup: those belong to the markup, as chat templates write and
 * strip them. They stay between two pieces of text, and text without markup stays as it is.
 */
export class HeldNewlines {
  #held = "";
  #isBesideMarkup = false;
  #isEmpty = true;

  /** @returns what became certain; the newlines at its end wait for what follows */
  push(text: string): string {
    let end = text.length;
    while (end > 0 && text[end - 1] === "\n") end--;
    if (end === 0) {
      this.#held += text;
      return "";
    }
    let start = 0;
    if (this.#isEmpty && this.#isBesideMarkup) {
      this.#held = "";
      while (text[start] === "\n") start++;
    }
    const certain = this.#held + text.slice(start, end);
    this.#held = text.slice(end);
    this.#isBesideMarkup = false;
    this.#isEmpty = false;
    return certain;
  }

  /** Markup stands here. */
  mark(): void {
    this.#isBesideMarkup = true;
  }

  /** @returns what was held, at the end of the answer */
  end(): string {
    return this.#isBesideMarkup ? "" : this.#held;
  }
}
