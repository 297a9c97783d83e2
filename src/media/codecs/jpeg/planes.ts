/** The samples and coefficients of a picture's components while it is decoded. */

import type { Component, Frame } from "./frame.ts";

export interface Plane {
  readonly component: Component;
  /** u8 [rows, stride]: whole blocks; grey where nothing was decoded. */
  readonly samples: Uint8ClampedArray;
  readonly stride: number;
}

/** All coefficients of a component, for pictures of several scans. */
export interface Coefficients {
  /** i16 [paddedDown, paddedAcross, 64] */
  readonly values: Int16Array;
  /** u8 [paddedDown, paddedAcross]: whether a progressive scan brought AC coefficients. */
  readonly hasAc: Uint8Array;
}

/** Samples for which there is no data. */
export const GREY = 128;

export function createPlane(component: Component, { process }: Frame): Plane {
  const unit = process === "lossless" ? 1 : 8;
  const stride = component.blocksAcross * unit;
  const samples = new Uint8ClampedArray(stride * component.blocksDown * unit).fill(GREY);
  return { component, samples, stride };
}

export function createCoefficients({ paddedAcross, paddedDown }: Component): Coefficients {
  const blocks = paddedAcross * paddedDown;
  return { values: new Int16Array(blocks * 64), hasAc: new Uint8Array(blocks) };
}
