/** Videos by their first bytes: those that are read, and those that are known only to be refused by name. */

import { ascii } from "./bytes.ts";

/** "mp4": ISO base media and QuickTime; "webm": Matroska too; "ts": MPEG transport stream, also of Blu-rays. */
export type MovieFormat = "mp4" | "webm" | "ts";

/** Brands of ISO base media files that are no movies. */
export const ISO_PICTURES = {
  avif: ["avif", "avis"],
  heic: ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1"],
  raw: ["crx "],
} as const;
const ISO_PICTURE_BRANDS: readonly string[] = Object.values(ISO_PICTURES).flat();
/** First boxes of QuickTime files older than `ftyp`, and of files in fragments. */
const QUICKTIME_BOXES = ["moov", "mdat", "wide", "free", "skip", "moof", "styp", "sidx"];

/** Where a packet of a transport stream begins, and how far it is to the next: plain, with time codes, with parity. */
const TRANSPORT_STREAMS = [
  [0, 188],
  [4, 192],
  [0, 204],
] as const;
const SYNC = 0x47;

export function movieKind(bytes: Uint8Array): MovieFormat | undefined {
  if (ascii(bytes, 0, 4) === "\x1aE\xdf\xa3") return "webm";
  const box = ascii(bytes, 4, 8);
  if (box === "ftyp") return ISO_PICTURE_BRANDS.includes(ascii(bytes, 8, 12)) ? undefined : "mp4";
  if (QUICKTIME_BOXES.includes(box)) return "mp4";
  const isStream = TRANSPORT_STREAMS.some(
    ([at, length]) => bytes[at] === SYNC && bytes[at + length] === SYNC,
  );
  return isStream ? "ts" : undefined;
}

type Signature = readonly [at: number, begin: string | RegExp, name: string];

/** NAL units that come first: parameters, a delimiter or extra information. */
const H264_UNITS = ["\x27", "\x47", "\x67", "\x09", "\x06"];
const HEVC_UNITS = ["\x40\x01", "\x42\x01", "\x46\x01", "\x4e\x01"];
/** What each begins with, in its two lengths. */
const START_CODES = ["\0\0\0\x01", "\0\0\x01"];

function bare(codec: string, units: readonly string[]): Signature[] {
  return START_CODES.flatMap((start) =>
    units.map((unit): Signature => [0, start + unit, `${codec} without a container`]),
  );
}

const OTHER_MOVIES: readonly Signature[] = [
  [8, "AVI ", "AVI"],
  [0, "FLV\x01", "Flash Video (FLV)"],
  [0, "\0\0\x01\xba", "MPEG program stream (MPG, VOB)"],
  [0, "\0\0\x01\xb3", "MPEG video without a container"],
  [0, "0&\xb2u\x8ef\xcf\x11", "Windows Media (ASF, WMV)"],
  [0, "OggS", "Ogg"],
  [0, ".RMF", "RealMedia"],
  [0, "\x06\x0e+4\x02\x05\x01\x01", "MXF"],
  [0, "DKIF", "IVF"],
  [0, "YUV4MPEG2", "Y4M"],
  ...bare("H.264", H264_UNITS),
  ...bare("HEVC", HEVC_UNITS),
];
const LISTS: readonly Signature[] = [
  [0, /^\s*#EXTM3U/, "HLS playlist"],
  [0, /^\s*(<\?xml[^>]*>\s*)?<MPD\b/, "DASH manifest"],
];
const SOUNDS: readonly Signature[] = [
  [0, "ID3", "MP3"],
  [0, "\xff\xfb", "MP3"],
  [0, "\xff\xf3", "MP3"],
  [0, "\xff\xf1", "AAC"],
  [8, "WAVE", "WAV"],
  [0, "fLaC", "FLAC"],
  [0, "#!AMR", "AMR"],
];
/** Text may have a declaration before what tells it. */
const MOST_TEXT = 1000;

const GIVE = "give an MP4, WebM, MPEG-TS, animated GIF, WebP or PNG file, or frames";

/** The name of a video, list or sound that is known and not read. */
export function otherMovie(bytes: Uint8Array): string | undefined {
  return [...OTHER_MOVIES, ...LISTS, ...SOUNDS].find((signature) => begins(bytes, signature))?.[2];
}

/** What to give in place of a file that is no video for us. */
export function movieAdvice(bytes: Uint8Array): string {
  const isOne = (signatures: readonly Signature[]) =>
    signatures.some((signature) => begins(bytes, signature));
  if (isOne(OTHER_MOVIES)) return `${GIVE}; \`ffmpeg -i FILE out.mp4\` converts it`;
  if (isOne(LISTS))
    return "it only says where a video is: give the video, which `ffmpeg -i ADDRESS -c copy out.mp4` stores";
  if (isOne(SOUNDS)) return `it has no pictures: ${GIVE}`;
  return GIVE;
}

function begins(bytes: Uint8Array, [at, begin]: Signature): boolean {
  if (typeof begin === "string") return ascii(bytes, at, at + begin.length) === begin;
  return begin.test(ascii(bytes, at, at + MOST_TEXT));
}
