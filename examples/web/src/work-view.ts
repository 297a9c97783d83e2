/** What the page is at, and how far. */
import { byId } from "./dom.ts";
import type { Progress } from "./loading.ts";

const box = () => byId("work", HTMLElement);

/** @param cancel what the button beside it does; without it there is none */
export function showWork({ name, detail, share }: Progress, cancel?: () => void): void {
  byId("work-name", HTMLElement).textContent = name;
  byId("work-detail", HTMLElement).textContent = detail;
  byId("work-bar", HTMLProgressElement).value = share;
  const button = byId("work-cancel", HTMLButtonElement);
  button.hidden = cancel === undefined;
  button.onclick = cancel ?? null;
  box().hidden = false;
}

export function hideWork(): void {
  box().hidden = true;
}
