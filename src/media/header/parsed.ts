/** What the reader of one format's header tells. */

import type { ImageHeader } from "../header.ts";

export type Parsed = Pick<ImageHeader, "width" | "height"> & Partial<ImageHeader>;

/** Throws IMAGE_INVALID: "Image NAME PROBLEM." */
export type Fail = (problem: string) => never;
