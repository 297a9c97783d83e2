/** Which frames of a video were taken: marks on its length, and the frames themselves. */

import { clock, countOf, digits, escaped, grouped } from "./markup.ts";

export interface ShownFrame {
  /** Of the video's frames, from 0. */
  readonly index: number;
  readonly seconds: number;
  /** Address of the frame as it was resized; without one it is only marked. */
  readonly href?: string | undefined;
}

export interface ShownFrames {
  readonly frames: readonly ShownFrame[];
  /** Frames that the video has. */
  readonly numFrames: number;
}

const [TRACK, HEIGHT] = [20, 40];

/** A bar as long as the video, with a mark for each frame that was taken. */
export function framesSvg({ frames, numFrames }: ShownFrames): string {
  const length = Math.max(numFrames, 1);
  const marks = frames.map(({ index }) => `M${digits(index + 0.5)} 0V1`).join("");
  const [first, last] = [frames[0], frames.at(-1)];
  const label = `${countOf(new Set(frames.map(({ index }) => index)).size, "frame")} of ${grouped(numFrames)} taken`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="glimt-drawing glimt-plot" width="100%" height="${HEIGHT}" role="img" aria-label="${escaped(label)}">`,
    `<rect class="glimt-track" width="100%" height="${TRACK}" rx="3"/>`,
    `<svg width="100%" height="${TRACK}" viewBox="0 0 ${length} 1" preserveAspectRatio="none">`,
    `<path class="glimt-taken" d="${marks}"/></svg>`,
    ...(first ? [`<text x="0" y="${HEIGHT - 4}">${escaped(label)}</text>`] : []),
    ...(last
      ? [`<text class="glimt-end" x="100%" y="${HEIGHT - 4}">last at ${clock(last.seconds)}</text>`]
      : []),
    "</svg>",
  ].join("");
}

/** The same, and below it those frames that have an address. */
export function framesHtml(shown: ShownFrames): string {
  const pictures = shown.frames.flatMap(({ index, seconds, href }) => {
    if (href === undefined) return [];
    const time = clock(seconds);
    return [`<li><img src="${escaped(href)}" alt="frame ${index}">${time}, frame ${grouped(index)}</li>`];
  });
  return `${framesSvg(shown)}${pictures.length > 0 ? `<ol class="glimt-frames">${pictures.join("")}</ol>` : ""}`;
}
