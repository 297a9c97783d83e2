/** What one rendering may use up, and where it stands. */

/** A template that failed: it is no Jinja, it raised, or it used up what it may. */
export class TemplateFailure extends Error {
  /** Where in the template, from 1; unknown while the template runs (see `Runtime.line`). */
  readonly line: number | undefined;

  constructor(message: string, line?: number) {
    super(message);
    this.name = "TemplateFailure";
    this.line = line;
  }
}

/** Statements, items and other small pieces of work: about a second. */
const MAX_STEPS = 10_000_000;
/** Characters that count as one step where text is copied or searched. */
const CHARACTERS_A_STEP = 64;
const COPIED_CHARACTERS_A_STEP = 2048;
/** Characters of any one text, and of all that is written. */
const MAX_TEXT = 64 * 1024 * 1024;
/** Macros and recursive loops inside each other; Python ends a little below this. */
const MAX_CALLS = 200;
/** Lists in lists, where they are printed or compared. */
const MAX_NESTING = 500;

export class Runtime {
  /** Of the statement that runs. */
  line = 1;
  #steps = MAX_STEPS;
  #written = 0;
  #calls = 0;
  #nesting = 0;

  charge(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new TemplateFailure("it takes too many steps");
  }

  /** For a text that is made or gone through. @returns the text */
  text(text: string): string {
    this.chargeText(text.length);
    return text;
  }

  /** To be called before a text of this length is made. */
  chargeText(length: number): void {
    this.joined(length);
    this.charge(1 + Math.floor(length / CHARACTERS_A_STEP));
  }

  /** For a text that is joined of others: it is copied once, when somebody reads it. */
  joined(length: number): void {
    if (length > MAX_TEXT) throw new TemplateFailure(`a text grows beyond ${MAX_TEXT} characters`);
    this.charge(Math.floor(length / COPIED_CHARACTERS_A_STEP));
  }

  /** For a text that is gone through character by character. */
  characters(text: string): string {
    this.charge(Math.floor(text.length / 4));
    return text;
  }

  /** For a text that is a key. */
  hashed(text: string): void {
    this.charge(Math.floor(text.length / 256));
  }

  /** Before `part` is looked for in a text; the worst of parts are looked for at every place anew. */
  search(text: string, part: string): void {
    this.chargeText(text.length);
    if (part.length <= text.length) this.charge(Math.floor((text.length / 64) * (part.length / 128)));
  }

  write(out: string[], text: string): void {
    if (text === "") return;
    this.#written += text.length;
    if (this.#written > MAX_TEXT) {
      throw new TemplateFailure(`it writes more than ${MAX_TEXT} characters`);
    }
    this.charge(1);
    out.push(text);
  }

  /** Runs the body of a macro or of a recursive loop; the line is the caller's again behind it. */
  call<T>(body: () => T): T {
    const { line } = this;
    this.#calls += 1;
    if (this.#calls > MAX_CALLS) throw new TemplateFailure("macros or loops call each other too deeply");
    const result = body();
    this.#calls -= 1;
    this.line = line;
    return result;
  }

  /** Goes into a list or dict of a value. */
  nested<T>(body: () => T): T {
    this.#nesting += 1;
    if (this.#nesting > MAX_NESTING) throw new TemplateFailure("a value is nested too deeply");
    const result = body();
    this.#nesting -= 1;
    return result;
  }
}
