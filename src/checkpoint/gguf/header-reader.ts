/** Reads the head of a GGUF file from front to back, a piece at a time: nobody says beforehand how long it is. */
import { type GlimtError, throwIfAborted } from "../../errors.ts";
import type { CheckpointFiles } from "../files.ts";
import { shownName } from "../shown.ts";
import type { GgufList, GgufValue } from "./container.ts";

const PIECE = 1 << 20;
/** The largest published vocabularies with their merges take 20 MiB. */
const MOST_HEADER = 128 << 20;
/** Lists in lists; no published file has any. */
const MOST_DEPTH = 4;

interface Scalar {
  readonly bytes: number;
  readonly read: (view: DataView, at: number) => number | boolean;
  /** For lists; absent where a plain list is kept. */
  readonly list?: new (
    length: number,
  ) => { [index: number]: number } & ArrayLike<number>;
}

const SCALARS: Readonly<Record<number, Scalar>> = {
  0: { bytes: 1, read: (view, at) => view.getUint8(at), list: Uint8Array },
  1: { bytes: 1, read: (view, at) => view.getInt8(at), list: Int8Array },
  2: { bytes: 2, read: (view, at) => view.getUint16(at, true), list: Uint16Array },
  3: { bytes: 2, read: (view, at) => view.getInt16(at, true), list: Int16Array },
  4: { bytes: 4, read: (view, at) => view.getUint32(at, true), list: Uint32Array },
  5: { bytes: 4, read: (view, at) => view.getInt32(at, true), list: Int32Array },
  6: { bytes: 4, read: (view, at) => view.getFloat32(at, true), list: Float32Array },
  7: { bytes: 1, read: (view, at) => view.getUint8(at) !== 0 },
  10: { bytes: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  11: { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  12: { bytes: 8, read: (view, at) => view.getFloat64(at, true), list: Float64Array },
};
const STRING = 8;
const LIST = 9;
const LENGTH_BYTES = 8;
/** Of a list in a list: type and length. */
const LEAST_LIST_BYTES = 4 + LENGTH_BYTES;

export class HeaderReader {
  readonly #files: CheckpointFiles;
  readonly #name: string;
  readonly #size: number;
  readonly #invalid: (what: string) => GlimtError;
  readonly #signal: AbortSignal | undefined;
  // A mark at the start of a text is part of it.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  /** What is read of the file and not yet taken; it begins at `#start`, and `#at` of it is taken. */
  #buffer = new Uint8Array(0);
  #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #at = 0;

  constructor(
    files: CheckpointFiles,
    name: string,
    size: number,
    invalid: (what: string) => GlimtError,
    signal: AbortSignal | undefined,
  ) {
    this.#files = files;
    this.#name = name;
    this.#size = size;
    this.#invalid = invalid;
    this.#signal = signal;
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#start + this.#at;
  }

  async u32(): Promise<number> {
    return (await this.#viewOf(4)).getUint32(0, true);
  }

  async u64(): Promise<number> {
    return Number((await this.#viewOf(LENGTH_BYTES)).getBigUint64(0, true));
  }

  /** How many of a thing follow that takes so many bytes at the least. */
  async count(leastBytes: number, things: string): Promise<number> {
    const count = await this.u64();
    const left = Math.min(this.#size, MOST_HEADER) - this.position;
    if (count * leastBytes <= left) return count;
    throw this.#invalid(
      `the header claims ${count} ${things}, more than the ${left} bytes that are left: it is truncated or it lies.`,
    );
  }

  async string(): Promise<string> {
    const length = await this.count(1, "bytes of a text");
    const at = await this.#take(length);
    return this.#utf8.decode(this.#buffer.subarray(at, at + length));
  }

  async value(key: string): Promise<GgufValue> {
    return this.#value(key, await this.u32(), 0);
  }

  async #value(key: string, type: number, depth: number): Promise<GgufValue> {
    if (type === STRING) return this.string();
    if (type === LIST) return this.#list(key, depth);
    const scalar = SCALARS[type];
    if (!scalar) throw this.#invalid(`the key "${shownName(key)}" has a value of unknown type ${type}.`);
    return scalar.read(await this.#viewOf(scalar.bytes), 0);
  }

  async #list(key: string, depth: number): Promise<GgufList> {
    if (depth === MOST_DEPTH) throw this.#invalid(`the key "${shownName(key)}" has lists in lists in lists.`);
    const type = await this.u32();
    const scalar = SCALARS[type];
    const leastBytes = scalar?.bytes ?? (type === STRING ? LENGTH_BYTES : LEAST_LIST_BYTES);
    const count = await this.count(leastBytes, `values of "${shownName(key)}"`);
    if (!scalar) {
      const list: GgufValue[] = [];
      for (let i = 0; i < count; i++) {
        // A vocabulary has half a million texts: most are there without a wait.
        const text = type === STRING ? this.#textAtHand() : null;
        list.push(text ?? (await this.#value(key, type, depth + 1)));
      }
      return list;
    }
    const list = scalar.list ? new scalar.list(count) : new Array<number | boolean>(count);
    for (let i = 0; i < count; i++) {
      // A list may have millions: most are there without a wait.
      const taken = this.#take(scalar.bytes);
      const at = typeof taken === "number" ? taken : await taken;
      (list as (number | boolean)[])[i] = scalar.read(this.#view, at);
    }
    return list;
  }

  /** The text that follows, if all of it was read. */
  #textAtHand(): string | null {
    const at = this.#at + LENGTH_BYTES;
    if (at > this.#buffer.length) return null;
    const end = at + Number(this.#view.getBigUint64(this.#at, true));
    if (end > this.#buffer.length) return null;
    this.#at = end;
    return this.#utf8.decode(this.#buffer.subarray(at, end));
  }

  async #viewOf(bytes: number): Promise<DataView> {
    const at = await this.#take(bytes);
    return new DataView(this.#buffer.buffer, at, bytes);
  }

  /** Where in the buffer the next `bytes` are. */
  #take(bytes: number): number | Promise<number> {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) return this.#readOn(bytes);
    this.#at += bytes;
    return at;
  }

  async #readOn(bytes: number): Promise<number> {
    throwIfAborted(this.#signal);
    const start = this.position;
    const end = start + bytes;
    if (end > this.#size) {
      throw this.#invalid(`the header goes on behind the file's ${this.#size} bytes: it is truncated.`);
    }
    if (end > MOST_HEADER) {
      throw this.#invalid(`the header takes more than ${MOST_HEADER} bytes, which no vocabulary needs.`);
    }
    const rest = this.#buffer.subarray(this.#at);
    const buffer = new Uint8Array(Math.min(this.#size, Math.max(end, start + PIECE)) - start);
    buffer.set(rest);
    await this.#files.readInto(this.#name, start + rest.length, buffer.subarray(rest.length), this.#signal);
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer);
    this.#start = start;
    this.#at = bytes;
    return 0;
  }
}
