/** A picture from the camera, which is asked for only here. */
import { byId } from "./dom.ts";

const WANTED = { video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } } };

/** Null when the visitor leaves without one. @throws what the browser says when there is no camera to be had */
export async function openCamera(): Promise<File | null> {
  if (!navigator.mediaDevices) throw new Error("The browser gives cameras to https pages alone.");
  const stream = await navigator.mediaDevices.getUserMedia(WANTED);
  const dialog = byId("camera-dialog", HTMLDialogElement);
  const view = byId("camera-view", HTMLVideoElement);
  view.srcObject = stream;
  dialog.showModal();
  try {
    const isTaken = await decision(dialog);
    return isTaken ? await still(view) : null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    view.srcObject = null;
    dialog.close();
  }
}

/** Whether a picture is wanted, when the visitor has decided. */
function decision(dialog: HTMLDialogElement): Promise<boolean> {
  const control = new AbortController();
  const { signal } = control;
  const decided = new Promise<boolean>((resolve) => {
    const end = (isTaken: boolean) => () => resolve(isTaken);
    byId("camera-take", HTMLButtonElement).addEventListener("click", end(true), { signal });
    byId("camera-close", HTMLButtonElement).addEventListener("click", end(false), { signal });
    dialog.addEventListener("close", end(false), { signal });
  });
  return decided.finally(() => control.abort());
}

async function still(view: HTMLVideoElement): Promise<File | null> {
  const { videoWidth: width, videoHeight: height } = view;
  if (width === 0) return null;
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")?.drawImage(view, 0, 0);
  return new File([await canvas.convertToBlob()], "camera picture", { type: "image/png" });
}
