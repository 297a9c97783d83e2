/** All ways by which a picture or video comes to the page. */
import { openCamera } from "./camera.ts";
import { byId, element } from "./dom.ts";
import { clipboardPicture, firstFile, holdsFiles, type Media, mediaOf } from "./media.ts";
import { cameraNotice, type Notice, notMedia, pasteNotice, sampleNotice } from "./words.ts";

export interface Taker {
  take(media: Media): void;
  refuse(notice: Notice): void;
}

const SAMPLES = [
  { file: "hello.png", name: "Two words" },
  { file: "receipt.png", name: "A receipt" },
  { file: "numbers.png", name: "Numbers" },
  { file: "lines.png", name: "Lines" },
] as const;
export const FIRST_SAMPLE = SAMPLES[1];

export function watchIntake(taker: Taker): void {
  const take = (file: File | null) => {
    if (!file) return;
    const media = mediaOf(file);
    if (media) taker.take(media);
    else taker.refuse(notMedia(file));
  };
  watchPicker(take);
  watchDrop(take);
  watchClipboard(take, taker);
  byId("camera", HTMLButtonElement).addEventListener("click", () => {
    openCamera().then(take, (error) => taker.refuse(cameraNotice(error)));
  });
  showSamples(taker);
}

/** Opens the browser's own dialog. */
export function chooseFile(): void {
  byId("file", HTMLInputElement).click();
}

function watchPicker(take: (file: File | null) => void): void {
  const input = byId("file", HTMLInputElement);
  byId("choose", HTMLButtonElement).addEventListener("click", chooseFile);
  input.addEventListener("change", () => {
    take(input.files?.[0] ?? null);
    // The same file may be chosen again.
    input.value = "";
  });
}

function watchDrop(take: (file: File | null) => void): void {
  const sign = byId("drop", HTMLElement);
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event.dataTransfer)) return;
    event.preventDefault();
    sign.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) sign.hidden = true;
  });
  addEventListener("drop", (event) => {
    sign.hidden = true;
    if (!holdsFiles(event.dataTransfer)) return;
    event.preventDefault();
    take(firstFile(event.dataTransfer));
  });
}

function watchClipboard(take: (file: File | null) => void, taker: Taker): void {
  addEventListener("paste", (event) => {
    const file = firstFile(event.clipboardData);
    // Text goes where the cursor is; word processors put a picture of it beside it.
    if (!file || (isField(event.target) && event.clipboardData?.types.includes("text/plain"))) return;
    event.preventDefault();
    take(file);
  });
  byId("paste", HTMLButtonElement).addEventListener("click", async () => {
    try {
      const file = await clipboardPicture();
      if (file) take(file);
      else taker.refuse(pasteNotice());
    } catch (error) {
      taker.refuse(pasteNotice(error));
    }
  });
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement;
}

function showSamples(taker: Taker): void {
  const buttons = SAMPLES.map((sample) => {
    const picture = element("img", { src: sampleAddress(sample), alt: "", decoding: "async" });
    const button = element("button", { type: "button", className: "sample", title: sample.name }, picture);
    button.setAttribute("aria-label", `Sample: ${sample.name}`);
    button.addEventListener("click", () => {
      sampleMedia(sample).then(
        (media) => taker.take(media),
        (error) => taker.refuse(sampleNotice(error)),
      );
    });
    return button;
  });
  byId("samples", HTMLElement).append(...buttons);
}

type Sample = (typeof SAMPLES)[number];

function sampleAddress({ file }: Sample): string {
  return `demo/pictures/${file}`;
}

/** @throws Error when the server does not give it */
export async function sampleMedia(sample: Sample): Promise<Media> {
  const response = await fetch(sampleAddress(sample));
  if (!response.ok) throw new Error(`${response.url}: status ${response.status}`);
  return { kind: "image", file: await response.blob(), name: sample.name };
}
