/** What a file is that glimt reads no pixels from, and what to do about it. */

import { isWebPage } from "../http/web-page.ts";
import { ascii } from "./bytes.ts";
import { ISO_PICTURES, otherMovie } from "./movie-kind.ts";

interface OtherKind {
  /** As in "Image x is ...". */
  readonly name: string;
  readonly advice?: string;
}

const CONVERT = "convert it first";
const RAW: OtherKind = { name: "a raw picture of a camera", advice: "develop it first" };

/** Known by their first bytes. */
const SIGNATURES: readonly [at: number, signature: string, kind: OtherKind][] = [
  [0, "%PDF", { name: "a PDF document", advice: "render its pages to pictures" }],
  [0, "%!PS", { name: "a PostScript document", advice: "render its pages to pictures" }],
  [0, "\0\0\0\x0cJXL ", { name: "a JPEG XL picture", advice: CONVERT }],
  [0, "\xff\x0a", { name: "a JPEG XL picture", advice: CONVERT }],
  [0, "\0\0\0\x0cjP", { name: "a JPEG 2000 picture", advice: CONVERT }],
  [0, "\xff\x4f\xff\x51", { name: "a JPEG 2000 picture", advice: CONVERT }],
  [0, "8BPS", { name: "a Photoshop document", advice: "export it as a picture" }],
  [0, "\0\0\x01\0", { name: "an icon (ICO)", advice: CONVERT }],
  [0, "\0\0\x02\0", { name: "a mouse pointer (CUR)", advice: CONVERT }],
  [0, "icns", { name: "an icon (ICNS)", advice: CONVERT }],
  [0, "DDS ", { name: "a texture (DDS)", advice: CONVERT }],
  [0, "\xabKTX ", { name: "a texture (KTX)", advice: CONVERT }],
  [0, "v/1\x01", { name: "an OpenEXR picture", advice: CONVERT }],
  [0, "#?RADIANCE", { name: "a Radiance HDR picture", advice: CONVERT }],
  [0, "qoif", { name: "a QOI picture", advice: CONVERT }],
  [0, "SIMPLE  =", { name: "a FITS file", advice: CONVERT }],
  [128, "DICM", { name: "a DICOM file", advice: "export its pictures" }],
  [0, "FUJIFILM", RAW],
  [0, "\xd7\xcd\xc6\x9a", { name: "a Windows metafile", advice: CONVERT }],
  [40, " EMF", { name: "a Windows metafile", advice: CONVERT }],
  [0, "gimp xcf", { name: "a GIMP document", advice: "export it as a picture" }],
  [0, "PK\x03\x04", { name: "a ZIP archive or an Office document", advice: "take the picture out of it" }],
  [0, "\x1f\x8b", { name: "compressed with gzip", advice: "unpack it first" }],
  [
    0,
    "version https://git-lfs",
    { name: "a Git LFS pointer", advice: "fetch the file itself with `git lfs pull`" },
  ],
];
const ISO_KINDS: readonly [brands: readonly string[], kind: OtherKind][] = [
  [ISO_PICTURES.avif, { name: "an AVIF picture", advice: CONVERT }],
  [ISO_PICTURES.heic, { name: "a HEIC picture", advice: CONVERT }],
  [ISO_PICTURES.raw, RAW],
];
const TGA_END = "TRUEVISION-XFILE.\0";
/** How base64 of pictures begins. */
const BASE64 = /^(iVBORw0KGgo|\/9j\/|R0lGOD|UklGR|SUkqA|Qk0)/;
const TEXT_BYTES = 1024;

/** "a PDF document (render its pages to pictures)", "in no known format". */
export function describeOther(bytes: Uint8Array): string {
  const { name, advice } = otherKind(bytes);
  return advice ? `${name} (${advice})` : name;
}

function otherKind(bytes: Uint8Array): OtherKind {
  // It begins as a mouse pointer does.
  if (ascii(bytes, bytes.length - TGA_END.length, bytes.length) === TGA_END) {
    return { name: "a Targa picture", advice: CONVERT };
  }
  const known = SIGNATURES.find(([at, signature]) => ascii(bytes, at, at + signature.length) === signature);
  if (known) return known[2];
  if (ascii(bytes, 4, 8) === "ftyp") {
    const start = ascii(bytes, 8, 64);
    return ISO_KINDS.find(([brands]) => brands.some((brand) => start.includes(brand)))?.[1] ?? UNKNOWN;
  }
  const movie = otherMovie(bytes);
  return movie ? { name: `a file in the format ${movie}` } : textKind(bytes);
}

const UNKNOWN: OtherKind = { name: "in no known format" };

function textKind(bytes: Uint8Array): OtherKind {
  const start = ascii(bytes, 0, TEXT_BYTES)
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart();
  if (/^P[1-7]\s/.test(start)) return { name: "a PNM picture", advice: CONVERT };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they tell text from other files
  if (start === "" || /[\0-\x08\x0e-\x1f]/.test(start)) return UNKNOWN;
  if (isWebPage(bytes)) {
    return { name: "a web page (HTML)", advice: "give the picture's or video's own address" };
  }
  if (/^<(\?xml|!--|!doctype|svg)/i.test(start) && /<svg[\s/>]/i.test(start)) {
    return { name: "an SVG drawing", advice: "render it to a picture" };
  }
  if (/^[{[]/.test(start)) return { name: "JSON text", advice: "a server may have answered with an error" };
  if (BASE64.test(start))
    return { name: "base64 text", advice: "decode it, or write `data:image/png;base64,` before it" };
  return { name: "text in no known format" };
}
