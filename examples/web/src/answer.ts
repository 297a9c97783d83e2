/** The answer's tokens: each can be pointed at, tapped, or reached by the arrow keys. */
import { byId, element } from "./dom.ts";

export interface AnswerToken {
  readonly index: number;
  readonly id: number;
  readonly text: string;
  /** Of what the model thinks before it answers. */
  readonly isThought: boolean;
}

const NEAR_PX = 8;

export class AnswerView {
  readonly #box = byId("answer", HTMLElement);
  readonly #onSelect: (token: AnswerToken | null) => void;
  readonly #tokens: AnswerToken[] = [];
  readonly #spans: HTMLElement[] = [];
  /** Stays when the pointer leaves. */
  #kept: number | null = null;
  #shown: number | null = null;
  /** Whether the end is in view, where new tokens are followed. */
  #isAtEnd = true;
  #isFollowing = false;

  /** @param onSelect told which token is looked at; null: none */
  constructor(onSelect: (token: AnswerToken | null) => void) {
    this.#onSelect = onSelect;
    const box = this.#box;
    box.addEventListener("pointerover", (event) => {
      // Fingers have no way to point without tapping.
      if (event.pointerType === "mouse") this.#show(this.#at(event.target) ?? this.#kept);
    });
    box.addEventListener("pointerleave", () => this.#show(this.#kept));
    box.addEventListener("click", (event) => {
      const at = this.#at(event.target);
      this.#keep(at === this.#kept ? null : at);
    });
    box.addEventListener("keydown", (event) => this.#onKey(event));
    box.addEventListener("scroll", () => {
      this.#isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
    });
  }

  get text(): string {
    return this.#tokens.map(({ text }) => text).join("");
  }

  get isEmpty(): boolean {
    return this.#tokens.length === 0;
  }

  clear(): void {
    this.#tokens.length = 0;
    this.#spans.length = 0;
    this.#box.replaceChildren();
    this.#box.tabIndex = -1;
    this.#isAtEnd = true;
    this.#keep(null);
  }

  /** Those without text (the end, parts of a letter) are not shown. */
  add(token: AnswerToken): void {
    if (token.text === "") return;
    const at = this.#tokens.length;
    const className = token.isThought ? "token thought" : "token";
    const span = element("span", { className, id: `token-${at}` }, token.text);
    span.setAttribute("role", "option");
    span.setAttribute("aria-selected", "false");
    this.#tokens.push(token);
    this.#spans.push(span);
    this.#box.append(span);
    this.#box.tabIndex = 0;
    this.#follow();
  }

  /** Once a frame: a scroll for each token would be a layout for each. */
  #follow(): void {
    if (!this.#isAtEnd || this.#isFollowing || this.#kept !== null) return;
    this.#isFollowing = true;
    requestAnimationFrame(() => {
      this.#isFollowing = false;
      this.#box.scrollTop = this.#box.scrollHeight;
    });
  }

  #at(target: EventTarget | null): number | null {
    const at = target instanceof HTMLElement ? this.#spans.indexOf(target) : -1;
    return at < 0 ? null : at;
  }

  #onKey(event: KeyboardEvent): void {
    const last = this.#tokens.length - 1;
    if (last < 0) return;
    const now = this.#kept;
    const next: Record<string, number | null> = {
      ArrowRight: now === null ? 0 : Math.min(now + 1, last),
      ArrowLeft: now === null ? last : Math.max(now - 1, 0),
      Home: 0,
      End: last,
      Escape: null,
    };
    const to = next[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    // Escape leaves a token first, and means the page when there is none to leave.
    if (to === null && now === null) return;
    event.preventDefault();
    event.stopPropagation();
    this.#keep(to);
  }

  #keep(at: number | null): void {
    this.#kept = at;
    this.#show(at);
  }

  #show(at: number | null): void {
    if (at === this.#shown) return;
    this.#mark(false);
    this.#shown = at;
    this.#mark(true);
    this.#onSelect(at === null ? null : (this.#tokens[at] ?? null));
  }

  #mark(isShown: boolean): void {
    const span = this.#shown === null ? undefined : this.#spans[this.#shown];
    span?.setAttribute("aria-selected", String(isShown));
    if (isShown && span) {
      this.#box.setAttribute("aria-activedescendant", span.id);
      span.scrollIntoView({ block: "nearest" });
    } else {
      this.#box.removeAttribute("aria-activedescendant");
    }
  }
}
