/** A decoded picture. */
export interface RgbImage {
  /** u8 [height, width, 3], rows from the top. */
  readonly data: Uint8Array;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
}
