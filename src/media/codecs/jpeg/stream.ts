/** The bytes of a JPEG file with a reading position, and the markers between them. */

import { Unreadable } from "../unreadable.ts";

/** The file ends where more is needed. */
export class EndOfData extends Unreadable {
  constructor() {
    super("the file is truncated");
  }
}

const RST0 = 0xd0;
const RST7 = 0xd7;

export class JpegStream {
  readonly bytes: Uint8Array;
  /** Reading stops here. */
  end: number;
  position = 0;
  /** A marker that was met and not yet acted on; 0 for none. Entropy-coded data ends there. */
  marker = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  /** @throws EndOfData */
  byte(): number {
    if (this.position >= this.end) throw new EndOfData();
    return this.bytes[this.position++] as number;
  }

  word(): number {
    return this.byte() * 256 + this.byte();
  }

  /** Finds the next marker; what lies before it is skipped, as are fill bytes and stuffed zeros. */
  findMarker(): void {
    let found = 0;
    while (found === 0) {
      while (this.byte() !== 0xff);
      do found = this.byte();
      while (found === 0xff);
    }
    this.marker = found;
  }

  /** The next byte of entropy-coded data; at a marker, which is kept, zeros without end. */
  dataByte(): number {
    if (this.marker !== 0) return 0;
    const first = this.byte();
    if (first !== 0xff) return first;
    let second: number;
    do second = this.byte();
    while (second === 0xff);
    if (second === 0) return 0xff;
    this.marker = second;
    return 0;
  }

  /**
   * Passes the restart marker that is due (0 to 7). Where another one is met it is decided as libjpeg does: a marker
   * of the recent past is passed over, one of the near future or of another kind is left, so that the segment between
   * counts as empty, and a restart that is far off is taken for this one.
   */
  passRestart(due: number): void {
    if (this.marker === 0) this.findMarker();
    for (;;) {
      const isRestart = this.marker >= RST0 && this.marker <= RST7;
      const ahead = (this.marker - RST0 - due) & 7;
      if (this.marker < 0xc0 || (isRestart && ahead >= 6)) {
        this.findMarker();
        continue;
      }
      if (isRestart && ahead !== 1 && ahead !== 2) this.marker = 0;
      return;
    }
  }
}
