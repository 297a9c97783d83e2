/** What reads the blocks of one scan. */
export interface EntropyDecoder {
  /** The data of this segment is used up: further blocks stay as they are. Holds from the next MCU on. */
  readonly isExhausted: boolean;
  /** Goes on behind the next restart marker. */
  restart(): void;
  /**
   * Reads the next block of the scan's component number `index` into coefficients[at .. at + 63], which hold what
   * earlier scans brought, or zeros.
   *
   * @returns whether AC coefficients came
   */
  decodeBlock(index: number, coefficients: Int16Array, at: number): boolean;
  endMcu(): void;
}
