/** WebCodecs for Node, from a package that only those who give video files install. */

import { GlimtError } from "../errors.ts";

/** A variable, so that no bundler looks for it. */
const PACKAGE: string = "@napi-rs/webcodecs";
const CLASSES = ["VideoDecoder", "VideoFrame", "EncodedVideoChunk", "VideoColorSpace"] as const;

let loading: Promise<void> | undefined;

/** Makes the classes global where they are missing, as a polyfill does. @throws CODEC_UNAVAILABLE */
export function loadWebCodecs(): Promise<void> {
  loading ??= load();
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}

async function load(): Promise<void> {
  let classes: Record<string, unknown>;
  try {
    classes = await import(PACKAGE);
  } catch (cause) {
    throw new GlimtError(
      "CODEC_UNAVAILABLE",
      `MP4, WebM and MPEG-TS files need the package ${PACKAGE}, which can not be loaded: npm install ${PACKAGE}. ` +
        "A directory of frames, an animated GIF, WebP or PNG, or { frames: [...], metadata } need no package.",
      { cause },
    );
  }
  for (const name of CLASSES) {
    if (!(name in globalThis))
      Object.defineProperty(globalThis, name, { value: classes[name], writable: true, configurable: true });
  }
}
