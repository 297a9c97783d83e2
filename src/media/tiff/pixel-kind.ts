/** The kinds of TIFF pixels that are read: those of Pillow that become RGB. */

import { Unreadable } from "../codecs/unreadable.ts";

export interface PixelKind {
  readonly kind: "grey" | "palette" | "rgb" | "cmyk" | "ycbcr";
  /** Of every sample. */
  readonly bits: number;
  /** Samples that the file has of a pixel. */
  readonly stored: number;
  /** What the first sample behind the colours is. */
  readonly alpha: "none" | "straight" | "premultiplied";
  /** 0 is white. */
  readonly isInverted: boolean;
  /** Of shades of grey of 12 bits and more: how their numbers are written. */
  readonly numbers: "unsigned" | "signed" | "float";
}

export interface SampleTags {
  readonly littleEndian: boolean;
  readonly photometric: number;
  readonly fillOrder: number;
  readonly bits: readonly number[];
  readonly samples: number;
  readonly extraSamples: readonly number[];
  readonly sampleFormats: readonly number[];
  readonly isPlanar: boolean;
}

const COLOURS = [
  ["grey", 1],
  ["grey", 1],
  ["rgb", 3],
  ["palette", 1],
  undefined,
  ["cmyk", 4],
  ["ycbcr", 3],
] as const;
const PHOTOMETRIC_NAMES: Readonly<Record<number, string>> = {
  4: "a mask",
  8: "CIELab",
  9: "ICCLab",
  10: "ITULab",
  32803: "colour filter array",
  32844: "LogL",
  32845: "LogLuv",
  34892: "raw of a camera",
};
const [UNSPECIFIED, PREMULTIPLIED, STRAIGHT] = [0, 1, 2] as const;
/** Straight alpha, as CorelDRAW 10 says it. */
const COREL_ALPHA = 999;
const MOST_SAMPLES = 6;
const UNSIGNED = 1;
const [SIGNED, FLOAT] = [2, 3] as const;

/** @throws Unreadable naming a kind that is not read */
export function pixelKind(tags: SampleTags): PixelKind {
  const { photometric, sampleFormats } = tags;
  const [kind, colours] = COLOURS[photometric] ?? [];
  if (!kind)
    throw new Unreadable(
      `its pixels (${PHOTOMETRIC_NAMES[photometric] ?? `kind ${photometric}`}) are not read`,
    );
  const { bits, samples, extra } = sampleBits(tags);
  const format = sampleFormats[0] ?? UNSIGNED;
  const isSame = bits.every((value) => value === bits[0]) && sampleFormats.every((value) => value === format);
  const found: PixelKind = {
    kind: kind === "ycbcr" && samples === 1 ? "grey" : kind,
    bits: bits[0] ?? 1,
    stored: samples,
    alpha: alphaOf(extra[0] ?? (kind === "rgb" && samples === 4 ? STRAIGHT : UNSPECIFIED)),
    isInverted: photometric === 0 && (bits[0] ?? 1) <= 8,
    numbers: format === SIGNED ? "signed" : format === FLOAT ? "float" : "unsigned",
  };
  const spare = samples - (kind === "ycbcr" && samples === 1 ? 1 : colours);
  if (!isSame || spare < 0 || !isRead(found, tags, extra, spare, format)) {
    const shown = `${bits.join(", ")} bits, format ${format}, extra samples ${extra.join(", ") || "none"}`;
    throw new Unreadable(`its samples (${shown}) are not read`);
  }
  return found;
}

function sampleBits({ bits, samples, extraSamples, isPlanar }: SampleTags) {
  if (samples < 1 || samples > MOST_SAMPLES) throw new Unreadable(`it has ${samples} samples a pixel`);
  // Samples that mean nothing and lie apart are not looked at.
  const isDropped =
    isPlanar && extraSamples.length > 0 && extraSamples.every((value) => value === UNSPECIFIED);
  const given = bits.length > 0 ? bits : [1];
  const dropped = isDropped ? extraSamples.length : 0;
  const count = samples - dropped;
  const kept = given.slice(0, given.length - dropped);
  const all =
    kept.length === 1 ? new Array<number>(Math.max(count, 0)).fill(kept[0] as number) : kept.slice(0, count);
  if (count < 1 || all.length !== count)
    throw new Unreadable(`it has ${samples} samples a pixel, of which ${given.length} have bits`);
  return { bits: all, samples: count, extra: isDropped ? [] : extraSamples };
}

function alphaOf(extra: number): PixelKind["alpha"] {
  if (extra === PREMULTIPLIED) return "premultiplied";
  return extra === STRAIGHT || extra === COREL_ALPHA ? "straight" : "none";
}

/** Pillow's table of modes, in words. */
function isRead(
  { kind, bits, stored, alpha, numbers }: PixelKind,
  { littleEndian, photometric, fillOrder }: SampleTags,
  extra: readonly number[],
  spare: number,
  format: number,
): boolean {
  const isPlain = numbers === "unsigned" && format === UNSIGNED;
  const mayReverse = stored === 1 || (kind === "rgb" && stored === 3);
  const isReversible = fillOrder === 1 || (fillOrder === 2 && mayReverse && bits <= 8);
  const isUnnamedAlpha = kind === "rgb" && stored === 4 && extra.length === 0;
  if (extra.length !== spare && !isUnnamedAlpha) return false;
  if (extra.slice(1).some((value) => value !== UNSPECIFIED)) return false;
  const isKnown =
    extra.length === 0 || [UNSPECIFIED, PREMULTIPLIED, STRAIGHT, COREL_ALPHA].includes(extra[0] as number);
  if (!isKnown || (extra[0] === COREL_ALPHA && (stored !== 4 || bits !== 8))) return false;
  if (kind === "grey" && spare === 0) {
    if (bits <= 8)
      return (
        [1, 2, 4, 8].includes(bits) &&
        isReversible &&
        (isPlain || (format === SIGNED && bits === 8 && photometric === 1))
      );
    return isWideGrey(bits, format, littleEndian, photometric, fillOrder);
  }
  if (!isPlain || !isReversible) return false;
  if (kind === "grey") return photometric === 1 && bits === 8 && stored === 2 && alpha === "straight";
  if (kind === "palette") {
    if (spare === 0) return [1, 2, 4, 8].includes(bits);
    return bits === 8 && stored === 2 && alpha !== "premultiplied" && extra[0] !== COREL_ALPHA;
  }
  if (kind === "ycbcr") return bits === 8 && stored === 3;
  if (kind === "cmyk") return alpha === "none" && (bits === 8 || (bits === 16 && stored === 4));
  return bits === 8 || (bits === 16 && stored <= 4);
}

function isWideGrey(
  bits: number,
  format: number,
  littleEndian: boolean,
  photometric: number,
  fillOrder: number,
): boolean {
  if (photometric !== 0 && photometric !== 1) return false;
  if (fillOrder !== 1)
    return littleEndian && photometric === 1 && bits === 16 && format === UNSIGNED && fillOrder === 2;
  if (bits === 32 && format === FLOAT) return true;
  if (bits === 16 && format === UNSIGNED) return littleEndian || photometric === 1;
  if (photometric !== 1) return false;
  if (bits === 12) return littleEndian && format === UNSIGNED;
  if (bits === 16) return format === SIGNED;
  return bits === 32 && (format === SIGNED || (format === UNSIGNED && littleEndian));
}
