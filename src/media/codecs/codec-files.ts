/**
 * The codecs' modules, each a chunk of its own that is loaded when it is asked for. In a worker's one script, which would
 * be half as large again with them, `workers/asked-files.ts` takes this file's place (build.mjs).
 */
import { GlimtError } from "../../errors.ts";
import type { PackedWasm } from "../packed-wasm.ts";

const FILES = {
  png: () => import("@jsquash/png/codec/pkg/squoosh_png_bg.wasm?packed"),
  webp: () => import("@jsquash/webp/codec/dec/webp_dec.wasm?packed"),
};

export type Codec = keyof typeof FILES;

export function isCodec(name: string): name is Codec {
  return name in FILES;
}

/** @throws CODEC_UNAVAILABLE when the chunk can not be loaded */
export async function codecFile(name: Codec): Promise<PackedWasm> {
  try {
    const { text, size } = await FILES[name]();
    return { text, size };
  } catch (cause) {
    throw new GlimtError(
      "CODEC_UNAVAILABLE",
      `The file of glimt that decodes ${name} could not be loaded: ${(cause as Error).message}.`,
      { cause },
    );
  }
}
