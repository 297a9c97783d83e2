/** What went wrong, on the page, with what can be done about it. */
import { byId, element } from "./dom.ts";
import type { Notice, Remedy } from "./words.ts";

const LABELS: Readonly<Record<Exclude<Remedy, null>, string>> = {
  "choose-model": "Choose a model",
  "load-again": "Load again",
  "choose-file": "Choose a file",
};

const box = () => byId("notice", HTMLElement);

export function showNotice(
  { title, advice, remedy, detail }: Notice,
  follow: (remedy: Remedy) => void,
): void {
  const parts: HTMLElement[] = [element("strong", {}, title), element("p", {}, advice)];
  if (remedy) {
    const button = element("button", { type: "button" }, LABELS[remedy]);
    button.addEventListener("click", () => follow(remedy));
    parts.push(button);
  }
  if (detail !== "") parts.push(element("small", {}, detail));
  box().replaceChildren(...parts);
  box().hidden = false;
}

export function hideNotice(): void {
  box().hidden = true;
  box().replaceChildren();
}
