/** The question: presets and free words. */
import { byId, element } from "./dom.ts";

/** GLM-OCR knows the first three by these words. */
const PRESETS = [
  { name: "Read text", text: "Text Recognition:" },
  { name: "Formula", text: "Formula Recognition:" },
  { name: "Table", text: "Table Recognition:" },
  { name: "Describe", text: "Describe this picture." },
  { name: "Free", text: "" },
] as const;
const FREE = PRESETS.length - 1;

export class QuestionForm {
  readonly #field = byId("question", HTMLTextAreaElement);
  readonly #radios: HTMLInputElement[];

  constructor(onAsk: () => void) {
    const form = byId("form", HTMLFormElement);
    this.#radios = PRESETS.map(({ name }, at) => {
      const radio = element("input", { type: "radio", name: "preset", value: String(at), checked: at === 0 });
      radio.addEventListener("change", () => this.#choose(at));
      byId("presets", HTMLElement).append(
        element("label", { className: "chip" }, radio, element("span", {}, name)),
      );
      return radio;
    });
    this.#field.value = PRESETS[0].text;
    this.#field.addEventListener("input", () => this.#mark());
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      onAsk();
    });
  }

  get text(): string {
    return this.#field.value.trim();
  }

  /** @param isRunning whether an answer is under way, which may be stopped then */
  setRunning(isRunning: boolean): void {
    byId("submit", HTMLButtonElement).hidden = isRunning;
    byId("stop", HTMLButtonElement).hidden = !isRunning;
  }

  #choose(at: number): void {
    this.#field.value = PRESETS[at]?.text ?? "";
  }

  /** The preset whose words stand there. */
  #mark(): void {
    const at = PRESETS.findIndex(({ text }) => text === this.#field.value);
    const radio = this.#radios[at < 0 ? FREE : at];
    if (radio) radio.checked = true;
  }
}
