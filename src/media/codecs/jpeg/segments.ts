/** The segments between a JPEG file's scans. */

import { ascii } from "../../bytes.ts";
import { Unreadable } from "../unreadable.ts";
import type { ColourSpace } from "./colour.ts";
import { type Frame, frameKind, readFrame, readScan, type Scan } from "./frame.ts";
import { JpegStream } from "./stream.ts";
import {
  emptyTables,
  readConditioning,
  readHuffman,
  readQuantization,
  resetConditioning,
  type Tables,
} from "./tables.ts";

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;

/** Reads segments up to the next scan, and keeps what they say. */
export class SegmentReader {
  readonly stream: JpegStream;
  readonly tables: Tables = emptyTables();
  frame: Frame | undefined;
  /** In MCUs; 0 without restarts. */
  restartInterval = 0;
  private hasBegun = false;
  private hasScan = false;
  private hasJfif = false;
  private adobeTransform: number | undefined;

  constructor(bytes: Uint8Array) {
    this.stream = new JpegStream(bytes);
  }

  /**
   * @returns the next scan, whose data follows; undefined at the end of the picture.
   * @throws EndOfData; Unreadable for segments that are damaged, or of kinds that are not supported
   */
  nextScan(): Scan | undefined {
    const { stream } = this;
    for (;;) {
      if (!this.hasBegun) this.begin();
      if (stream.marker === 0) stream.findMarker();
      const { marker } = stream;
      stream.marker = 0;
      if (marker === SOS) {
        if (!this.frame) throw new Unreadable("a scan comes before the frame header");
        this.hasScan = true;
        return readScan(stream, this.frame);
      }
      if (marker === EOI) {
        if (this.hasScan) return undefined;
        if (this.frame) throw new Unreadable("there is no scan");
        // It had nothing but tables, for the file that follows.
        this.hasBegun = false;
        continue;
      }
      this.readSegment(marker);
    }
  }

  private begin(): void {
    const { stream } = this;
    if (stream.word() !== 0xff00 + SOI) throw new Unreadable("the start marker is missing");
    resetConditioning(this.tables);
    this.restartInterval = 0;
    this.hasJfif = false;
    this.adobeTransform = undefined;
    this.hasBegun = true;
  }

  private readSegment(marker: number): void {
    const { stream, tables } = this;
    const kind = frameKind(marker);
    if (kind) {
      if (this.frame) throw new Unreadable("there are two frame headers");
      this.frame = readFrame(stream, kind);
    } else if (marker === 0xc4) {
      readHuffman(stream, tables);
    } else if (marker === 0xcc) {
      readConditioning(stream, tables);
    } else if (marker === 0xdb) {
      readQuantization(stream, tables);
    } else if (marker === 0xdd) {
      if (stream.word() !== 4) throw new Unreadable("a restart segment has a wrong length");
      this.restartInterval = stream.word();
    } else if (marker === 0xfe || marker === 0xdc || (marker >= 0xe0 && marker <= 0xef)) {
      this.readApplicationData(marker);
    } else if (marker !== 0x01 && (marker < 0xd0 || marker > 0xd7)) {
      throw new Unreadable(`marker ${marker.toString(16)} is not supported`);
    }
  }

  /** Comments, and application segments, of which two tell the colour space. */
  private readApplicationData(marker: number): void {
    const { stream } = this;
    const length = Math.max(0, stream.word() - 2);
    const data = stream.bytes.subarray(stream.position, stream.position + length);
    if (marker === 0xe0 && length >= 14 && ascii(data, 0, 5) === "JFIF\0") this.hasJfif = true;
    if (marker === 0xee && length >= 12 && ascii(data, 0, 5) === "Adobe") this.adobeTransform = data[11];
    stream.position += length;
  }

  /** What the components mean, by libjpeg's rules. @throws for a lossless picture that is not RGB, grey or CMYK */
  colourSpace({ components, process }: Frame): ColourSpace {
    const space = this.guessColourSpace(components.map(({ id }) => id));
    if (!space) throw new Unreadable(`${components.length} components are not supported`);
    if (process !== "lossless") return space;
    // Without a marker these are taken to be RGB.
    if (space === "ycbcr" && !this.hasJfif && this.adobeTransform === undefined) return "rgb";
    if (space === "ycbcr" || space === "ycck") throw new Unreadable("a lossless picture is not in RGB");
    return space;
  }

  private guessColourSpace(ids: readonly number[]): ColourSpace | undefined {
    const adobe = this.adobeTransform;
    if (ids.length === 1) return "grey";
    if (ids.length === 4) return adobe === undefined || adobe === 0 ? "cmyk" : "ycck";
    if (ids.length !== 3) return undefined;
    if (this.hasJfif) return "ycbcr";
    if (adobe !== undefined) return adobe === 0 ? "rgb" : "ycbcr";
    return String.fromCharCode(...ids) === "RGB" ? "rgb" : "ycbcr";
  }
}
