/** A decoded picture. */
export interface RgbImage {
  /** u8 [height, width, 3], rows from the top. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}
