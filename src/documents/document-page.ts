/** What is read of a page, in the shape of the vendor's JSON. */

import type { ErrorCode } from "../errors.ts";
import type { RegionLabel } from "./layout/classes.ts";

/** A part of a page; without a layout model the page is one. Names are those of GLM-OCR's own SDK. */
export interface DocumentRegion {
  /** Its place on the page in the order of reading, from 0. */
  readonly index: number;
  /** "error" stands for a page that could not be read; `content` says why. */
  readonly label: RegionLabel | "error";
  /** The layout model's class; "text" for a whole page. */
  readonly native_label: string;
  /** As Markdown: a title with its #, a formula between $$, a table as HTML. "" for a picture. */
  readonly content: string;
  /** Left, top, right, bottom in thousandths of the page; null for a whole page. */
  readonly bbox_2d: readonly [number, number, number, number] | null;
  /** Of a picture: where it is saved, as the Markdown names it. */
  readonly image_path?: string;
}

/** A picture of a page, cut out. */
export interface PageImage {
  /** As in the Markdown: imgs/... */
  readonly path: string;
  /** The bytes of a PNG file. */
  readonly png: Uint8Array;
}

/** Tokens that reading took. */
export interface PageUsage {
  /** Tokens that were read, those of pictures among them. */
  readonly promptTokens: number;
  /** Tokens of the answers. */
  readonly completionTokens: number;
}

/** A page that was read. */
export interface DocumentPage {
  /** From 1. */
  readonly number: number;
  /** Pixels of the picture that was read; 0 for a page that was not. */
  readonly width: number;
  /** Pixels, as `width`. */
  readonly height: number;
  /** Its parts, in the order of reading. */
  readonly regions: readonly DocumentRegion[];
  /** All of them as one text. */
  readonly markdown: string;
  /** Pictures that the Markdown names. */
  readonly images: readonly PageImage[];
  /** What may be missing or wrong: an answer that was cut off, a page that was made smaller. */
  readonly warnings: readonly string[];
  /** Why it could not be read; null when it was. Other pages are read all the same. */
  readonly error: {
    /** As of `GlimtError`. */
    readonly code: ErrorCode;
    /** What was wrong. */
    readonly message: string;
  } | null;
  /** Tokens that it took. */
  readonly usage: PageUsage;
}
