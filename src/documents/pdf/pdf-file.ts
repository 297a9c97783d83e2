/** A PDF file in PDFium: how many pages, and each as pixels. For workers: nothing here ends a file that takes for ever. */

import { GlimtError } from "../../errors.ts";
import type { RgbImage } from "../../media/rgb-image.ts";
import { type Pdfium, PdfiumFault, startPdfium } from "./pdfium-host.ts";

export interface PdfInput {
  readonly pdfium: WebAssembly.Module;
  readonly bytes: Uint8Array;
  readonly password: string | undefined;
  /** What to call the file in an error. */
  readonly name: string;
}

export interface PdfPageInput extends PdfInput {
  /** From 1. */
  readonly page: number;
  readonly dpi: number;
  /** A page that would have more is rendered smaller. */
  readonly maxPixels: number;
}

export interface RenderedPage {
  readonly image: RgbImage;
  /** What it was rendered at: less than asked for where the page is huge. */
  readonly dpi: number;
  readonly widthPoints: number;
  readonly heightPoints: number;
}

/** Of PDFium's memory: a large page, its pictures, and what they are decoded with. */
const MOST_MEMORY = 2 ** 30;
const POINTS_PER_INCH = 72;
/** Of a pixel. */
const ROUNDING = 1e-3;
const WHITE = 0xffffffff;
/** Four bytes a pixel, the last of them unused. */
const BGRX = 3;
/** With annotations; red first. */
const RENDER_FLAGS = 0x01 | 0x10;
const FORM_INFO_BYTES = 512;
const CONFIG_BYTES = 32;

/** @throws INPUT_INVALID, OUT_OF_MEMORY */
export async function countPdfPages(input: PdfInput): Promise<number> {
  return withDocument(input, ({ call }, document) => {
    const pages = call.FPDF_GetPageCount!(document);
    if (pages > 0) return pages;
    throw wrong(input.name, "has no pages");
  });
}

/** @throws INPUT_INVALID, OUT_OF_MEMORY */
export async function renderPdfPage(input: PdfPageInput): Promise<RenderedPage> {
  return withDocument(input, (pdfium, document) => {
    const { call } = pdfium;
    const form = formOf(pdfium, document);
    const page = call.FPDF_LoadPage!(document, input.page - 1);
    if (page === 0) throw wrong(input.name, `has a page ${input.page} that can not be read`);
    call.FORM_OnAfterLoadPage!(page, form);
    const widthPoints = call.FPDF_GetPageWidthF!(page);
    const heightPoints = call.FPDF_GetPageHeightF!(page);
    if (!(widthPoints > 0 && heightPoints > 0)) {
      throw wrong(input.name, `says that its page ${input.page} is ${widthPoints} x ${heightPoints} points`);
    }
    const { width, height, dpi } = pageSize(widthPoints, heightPoints, input);
    const bitmap = call.FPDFBitmap_CreateEx!(width, height, BGRX, 0, 0);
    if (bitmap === 0) throw outOfMemory(input.name);
    call.FPDFBitmap_FillRect!(bitmap, 0, 0, width, height, WHITE);
    call.FPDF_RenderPageBitmap!(bitmap, page, 0, 0, width, height, 0, RENDER_FLAGS);
    call.FPDF_FFLDraw!(form, bitmap, page, 0, 0, width, height, 0, RENDER_FLAGS);
    const data = withoutFourth(pdfium, bitmap, width, height);
    return { image: { data, width, height }, dpi, widthPoints, heightPoints };
  });
}

/** Pixels of a page at the resolution that is asked for, or at the most that fits `maxPixels`. */
export function pageSize(
  widthPoints: number,
  heightPoints: number,
  { dpi: wanted, maxPixels }: Pick<PdfPageInput, "dpi" | "maxPixels">,
): { readonly width: number; readonly height: number; readonly dpi: number } {
  const square = (widthPoints * heightPoints) / POINTS_PER_INCH ** 2;
  const longest = Math.max(widthPoints, heightPoints) / POINTS_PER_INCH;
  const dpi = Math.min(wanted, Math.sqrt(maxPixels / square), maxPixels / longest);
  const pixels = (points: number) => (points * dpi) / POINTS_PER_INCH;
  // As others render pages: up, but not for what floats are off.
  const up = (points: number) => Math.max(1, Math.ceil(pixels(points) - ROUNDING));
  // A page that is a line has one pixel across, and no more than fit along.
  const fitting = (points: number) => Math.min(maxPixels, Math.max(1, Math.floor(pixels(points))));
  const side = dpi === wanted ? up : fitting;
  return { width: side(widthPoints), height: side(heightPoints), dpi };
}

/** An instance for this call alone: what a file does to it is gone behind it. */
async function withDocument<T>(
  { pdfium: module, bytes, password, name }: PdfInput,
  task: (pdfium: Pdfium, document: number) => T,
): Promise<T> {
  const pdfium = await startPdfium(module, MOST_MEMORY);
  const { call } = pdfium;
  try {
    const config = allocate(pdfium, CONFIG_BYTES, name);
    pdfium.view().setInt32(config, 2, true);
    call.FPDF_InitLibraryWithConfig!(config);
    const file = allocate(pdfium, bytes.length, name);
    pdfium.bytes().set(bytes, file);
    const document = call.FPDF_LoadMemDocument!(file, bytes.length, passwordAt(pdfium, password, name));
    if (document === 0) throw unreadable(name, call.FPDF_GetLastError!(), password);
    return task(pdfium, document);
  } catch (cause) {
    if (cause instanceof GlimtError) throw cause;
    if (pdfium.isOutOfMemory) throw outOfMemory(name, cause);
    if (
      cause instanceof PdfiumFault ||
      cause instanceof WebAssembly.RuntimeError ||
      cause instanceof RangeError
    ) {
      throw wrong(name, `can not be rendered: PDFium stopped (${cause.message})`, cause);
    }
    throw cause;
  }
}

/** Filled-in forms are drawn by an environment of their own. */
function formOf(pdfium: Pdfium, document: number): number {
  const info = pdfium.call.malloc!(FORM_INFO_BYTES);
  if (info === 0) return 0;
  pdfium.bytes().fill(0, info, info + FORM_INFO_BYTES);
  pdfium.view().setInt32(info, 2, true);
  return pdfium.call.FPDFDOC_InitFormFillEnvironment!(document, info);
}

/** @returns where so many zeros are. @throws OUT_OF_MEMORY */
function allocate(pdfium: Pdfium, size: number, name: string): number {
  const at = pdfium.call.malloc!(size) >>> 0;
  if (at === 0) throw outOfMemory(name);
  pdfium.bytes().fill(0, at, at + size);
  return at;
}

function passwordAt(pdfium: Pdfium, password: string | undefined, name: string): number {
  if (password === undefined) return 0;
  const bytes = new TextEncoder().encode(password);
  const at = allocate(pdfium, bytes.length + 1, name);
  pdfium.bytes().set(bytes, at);
  return at;
}

function withoutFourth(pdfium: Pdfium, bitmap: number, width: number, height: number): Uint8Array {
  const { call } = pdfium;
  const from = call.FPDFBitmap_GetBuffer!(bitmap) >>> 0;
  const stride = call.FPDFBitmap_GetStride!(bitmap);
  const source = pdfium.bytes();
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let at = from + y * stride, end = at + width * 4; at < end; at += 4, to += 3) {
      data[to] = source[at] as number;
      data[to + 1] = source[at + 1] as number;
      data[to + 2] = source[at + 2] as number;
    }
  }
  return data;
}

/** By what PDFium's last error says. */
function unreadable(name: string, error: number, password: string | undefined): GlimtError {
  const PASSWORD = 4;
  const SECURITY = 5;
  if (error === PASSWORD) {
    return wrong(
      name,
      password === undefined
        ? "is encrypted: give its password (option password)"
        : "is encrypted, and the password is not its password",
    );
  }
  if (error === SECURITY) return wrong(name, "is encrypted in a way that PDFium does not read");
  return wrong(name, "is no PDF that can be read: it is damaged, cut short, or something else");
}

function wrong(name: string, problem: string, cause?: unknown): GlimtError {
  return new GlimtError("INPUT_INVALID", `PDF ${name} ${problem}.`, cause === undefined ? {} : { cause });
}

function outOfMemory(name: string, cause?: unknown): GlimtError {
  return new GlimtError(
    "OUT_OF_MEMORY",
    `PDF ${name} takes more than ${MOST_MEMORY / 2 ** 20} MiB to render; lower the option dpi if its pages are large.`,
    cause === undefined ? {} : { cause },
  );
}
