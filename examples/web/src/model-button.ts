/** Which model there is, and the way to another. */
import { byId } from "./dom.ts";

const WORDS = { loading: "loading", ready: "ready", none: "not loaded" } as const;

export class ModelButton {
  readonly #button = byId("model-button", HTMLButtonElement);

  constructor(onClick: () => void) {
    this.#button.addEventListener("click", onClick);
  }

  show(name: string, state: keyof typeof WORDS): void {
    byId("model-name", HTMLElement).textContent = name;
    byId("model-state", HTMLElement).textContent = WORDS[state];
    this.#button.dataset.state = state;
  }
}
