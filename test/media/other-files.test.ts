/** Files that are not read are refused by name, with a word on what to do, as a picture and as a video. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeImage } from "../../src/media/decode-image.ts";
import { loadVideo } from "../../src/media/video.ts";

const zeros = (count: number) => "\0".repeat(count);

const others: readonly [name: string, content: string, message: RegExp][] = [
  ["AVIF", "\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", /an AVIF picture \(convert it first\)/],
  ["AVIF under another brand", "\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf", /an AVIF picture/],
  ["HEIC of 10 bits, several pictures", "\0\0\0\x18ftyphevx\0\0\0\0msf1hevx", /a HEIC picture/],
  ["HEIC of layers", "\0\0\0\x14ftypheis\0\0\0\0heis", /a HEIC picture/],
  ["Canon raw", "\0\0\0\x18ftypcrx \0\0\0\x01crx isom", /a raw picture of a camera \(develop it first\)/],
  ["HEIC", "\0\0\0\x18ftypheic\0\0\0\0mif1heic", /a HEIC picture \(convert it first\)/],
  ["JPEG XL", "\0\0\0\x0cJXL \r\n\x87\n", /a JPEG XL picture/],
  ["bare JPEG XL", "\xff\x0a\xfa\x1f\x41\x91", /a JPEG XL picture/],
  ["JPEG 2000", "\0\0\0\x0cjP  \r\n\x87\n", /a JPEG 2000 picture/],
  ["bare JPEG 2000", "\xff\x4f\xff\x51\0\x2f", /a JPEG 2000 picture/],
  ["SVG", "<svg xmlns='http://www.w3.org/2000/svg'/>", /an SVG drawing \(render it to a picture\)/],
  ["SVG with a declaration", '\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made -->\n<svg/>', /an SVG drawing/],
  ["PDF", "%PDF-1.7\n%\xe2\xe3\xcf\xd3", /a PDF document \(render its pages to pictures\)/],
  ["PostScript", "%!PS-Adobe-3.0 EPSF-3.0", /a PostScript document/],
  ["PSD", `8BPS\0\x01${zeros(20)}`, /a Photoshop document/],
  ["ICO", `\0\0\x01\0\x01\0\x10\x10${zeros(20)}`, /an icon \(ICO\)/],
  ["Targa", `${zeros(2)}\x02${zeros(60)}TRUEVISION-XFILE.\0`, /a Targa picture/],
  ["PNM", "P6 2 2 255 abcdefghijkl", /a PNM picture/],
  ["DICOM", `${zeros(128)}DICM`, /a DICOM file/],
  ["OpenEXR", "v/1\x01\x02\0\0\0", /an OpenEXR picture/],
  ["a Word document", "PK\x03\x04\x14\0", /a ZIP archive or an Office document/],
  ["a gzip file", "\x1f\x8b\x08\0", /compressed with gzip \(unpack it first\)/],
  [
    "a web page",
    "\n<!DOCTYPE html><html><head>",
    /a web page \(HTML\) \(give the picture's or video's own address\)/,
  ],
  ["a web page without a type", "<html lang='en'>", /a web page/],
  ["a web page behind a comment", "<!-- made -->\n<html>", /a web page/],
  ["something else in angle brackets", "<headline>", /text in no known format/],
  ["JSON", '{"error": "not found"}', /JSON text \(a server may have answered with an error\)/],
  [
    "base64",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
    /base64 text \(decode it, or write `data:image\/png;base64,`/,
  ],
  [
    "a Git LFS pointer",
    "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
    /a Git LFS pointer.*git lfs pull/,
  ],
  ["text", "what do you see?", /text in no known format/],
  ["spaces", "   \n  ", /in no known format/],
  ["anything", "\x01\x02\x03\x04\x05\x06", /in no known format/],
  ["one byte", "x", /in no known format/],
];

for (const [name, content, message] of others) {
  test(`${name} is refused by name`, async () => {
    const bytes = Uint8Array.from(content, (letter) => letter.charCodeAt(0));
    const asImage = await decodeImage(bytes).catch((error) => error);
    assert.is(asImage.code, "IMAGE_INVALID");
    assert.match(asImage.message, message);
    assert.match(asImage.message, /; give a PNG, JPEG, WebP, GIF, TIFF or BMP file\.$/);
    const asVideo = await loadVideo(bytes).catch((error) => error);
    assert.is(asVideo.code, "VIDEO_INVALID");
    assert.match(asVideo.message, message);
    assert.match(asVideo.message, /; give an MP4/);
  });
}

test.run();
