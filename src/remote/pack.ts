/**
 * Values of a caller's, made ready to be copied to another thread and put together there. Structured cloning drops getters of
 * classes and refuses functions, signals and URLs, each of which stands for itself in a slot; and it copies all of the
 * buffer that a view lies in. Nothing of the caller's is handed over, but copies are: the first of them are made at once, and
 * what is more in turns of the event loop (`fill-copies.ts`), since cloning holds the thread until all is copied.
 */

/** `value` as it can be cloned, and what is to be put into it. */
export interface Packed {
  readonly value: unknown;
  readonly slots: readonly Slot[];
}

/** What is packed, and what is left to do before it can be sent. */
export interface Packing {
  readonly packed: Packed;
  /** Copies that are handed over. */
  readonly transfer: readonly ArrayBuffer[];
  /** Those of them that are still to be made. */
  readonly copies: readonly Copy[];
}

/** Bytes of the caller's, and the buffer in `value` that they go to. */
export interface Copy {
  readonly from: Uint8Array;
  readonly to: Uint8Array<ArrayBuffer>;
}

/** Bytes of a call that are copied at once. */
const AT_ONCE = 1 << 20;

/** `at` lies in `value`, also when both were cloned together. */
interface Slot {
  readonly at: object;
  readonly key: string | number;
  readonly content: Content;
}

/** Of what a buffer can be taken from, and buffers themselves. */
type BufferType = "ArrayBuffer" | "DataView" | "Uint8Array" | "Float32Array" | "Int32Array";

type Content =
  | { readonly kind: "url"; readonly address: string }
  | { readonly kind: "function"; readonly id: number }
  | { readonly kind: "signal"; readonly id: number }
  | { readonly kind: "symbol"; readonly description: string | undefined }
  /** One of this type whose bytes another thread has. */
  | { readonly kind: "givenAway"; readonly type: BufferType }
  /** A file with its path in the folder that was picked, which cloning drops. */
  | { readonly kind: "file"; readonly file: File; readonly path: string }
  /** Reading it throws. */
  | { readonly kind: "unreadable"; readonly message: string };

/** What becomes of what can not be cloned. */
export interface Unclonable {
  /** @param name of the property that it was found under */
  function(value: (...args: never[]) => unknown, name: string): number;
  signal(value: AbortSignal): number;
}

export interface Unpacking {
  function(id: number): (...args: unknown[]) => unknown;
  signal(id: number): AbortSignal;
}

/** Nothing that is read lies deeper; what does is refused where it is read. */
const DEEPEST = 300;

/** What cloning keeps as it is. */
const CLONED =
  /^\[object (Blob|ArrayBuffer|SharedArrayBuffer|ImageBitmap|VideoFrame|Date|RegExp|Set|Error|DOMException|Number|String|Boolean|BigInt)\]$/;

export function pack(values: readonly unknown[], unclonable: Unclonable): Packing {
  const packer = new Packer(unclonable);
  const value = packer.list(values, 0);
  const { slots, transfer, copies } = packer;
  return { packed: { value, slots }, transfer, copies };
}

class Packer {
  readonly slots: Slot[] = [];
  readonly transfer: ArrayBuffer[] = [];
  readonly copies: Copy[] = [];
  #copied = 0;
  readonly #unclonable: Unclonable;
  /** What is there twice stays one, and what holds itself does. */
  readonly #copies = new Map<object, unknown>();

  constructor(unclonable: Unclonable) {
    this.#unclonable = unclonable;
  }

  list(values: readonly unknown[], depth: number): unknown[] {
    const copy: unknown[] = new Array(values.length);
    this.#copies.set(values, copy);
    for (let index = 0; index < values.length; index++) {
      if (index in values) this.#put(copy, index, () => values[index], depth);
    }
    return copy;
  }

  #put(at: object, key: string | number, read: () => unknown, depth: number): void {
    let packed: unknown;
    try {
      packed = this.#pack(at, key, read(), depth + 1);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.slots.push({ at, key, content: { kind: "unreadable", message } });
      packed = null;
    }
    define(at, key, packed);
  }

  /** What is cloned in place of a value; what can not be is in a slot, and null here. */
  #pack(at: object, key: string | number, value: unknown, depth: number): unknown {
    const into = (content: Content) => {
      this.slots.push({ at, key, content });
      return null;
    };
    if (typeof value === "symbol") return into({ kind: "symbol", description: value.description });
    if (typeof value === "function") {
      const id = this.#unclonable.function(value as (...args: never[]) => unknown, String(key));
      return into({ kind: "function", id });
    }
    if (typeof value !== "object" || value === null) return value;
    if (this.#copies.has(value)) return this.#copies.get(value);
    if (depth > DEEPEST) return {};
    const tag = Object.prototype.toString.call(value);
    const isBuffer = isArrayBuffer(value);
    if (isBuffer || ArrayBuffer.isView(value)) {
      if (isGivenAway(isBuffer ? value : value.buffer)) {
        return into({ kind: "givenAway", type: tag.slice(8, -1) as BufferType });
      }
      if (isBuffer) return this.#keep(value, this.#copyOf(new Uint8Array(value)).buffer);
      return this.#keep(value, isArrayBuffer(value.buffer) ? this.#copyOf(value) : ownView(value));
    }
    if (tag === "[object URL]") return into({ kind: "url", address: (value as URL).href });
    if (tag === "[object AbortSignal]") {
      return into({ kind: "signal", id: this.#unclonable.signal(value as AbortSignal) });
    }
    if (tag === "[object File]") {
      const path = (value as { webkitRelativePath?: string }).webkitRelativePath ?? "";
      return path === "" ? value : into({ kind: "file", file: value as File, path });
    }
    if (tag === "[object ImageData]") return this.#pixels(value as ImageData, depth);
    if (CLONED.test(tag)) return value;
    if (Array.isArray(value)) return this.list(value, depth);
    if (tag === "[object FileList]") return this.list(Array.from(value as FileList), depth);
    if (tag === "[object Map]") return this.#map(value as Map<unknown, unknown>, depth);
    return this.#object(value, tag, depth);
  }

  /** An array of the same type, which has its values once `copies` are made. */
  #copyOf(view: ArrayBufferView): ArrayBufferView<ArrayBuffer> {
    const { buffer, byteOffset, byteLength } = view;
    const [from, to] = [new Uint8Array(buffer, byteOffset, byteLength), new Uint8Array(byteLength)];
    this.#copied += byteLength;
    if (this.#copied > AT_ONCE) this.copies.push({ from, to });
    else to.set(from);
    this.transfer.push(to.buffer);
    const type = typeOf.call(view) as "Uint8Array" | undefined;
    return type ? new globalThis[type](to.buffer) : new DataView(to.buffer);
  }

  /** What is read of pixels is their fields. */
  #pixels(value: ImageData, depth: number): object {
    const { data, width, height } = value;
    const copy = this.#keep(value, { width, height });
    this.#put(copy, "data", () => data, depth);
    return copy;
  }

  #keep<T>(value: object, copy: T): T {
    this.#copies.set(value, copy);
    return copy;
  }

  /** Its values are what may have to be packed; keys are names. */
  #map(map: ReadonlyMap<unknown, unknown>, depth: number): Map<unknown, unknown> {
    const copy = this.#keep(map, new Map<unknown, unknown>());
    for (const [key, value] of map) this.#put(copy, key as string, () => value, depth);
    return copy;
  }

  #object(value: object, tag: string, depth: number): object {
    const copy = this.#keep(value, {});
    for (const key of Object.keys(value)) this.#put(copy, key, () => value[key as never], depth);
    // Objects of a caller's class may have their fields as getters; those of the page's are not to be walked.
    if (tag !== "[object Object]") return copy;
    for (const key of inheritedGetters(value)) {
      if (!(key in copy)) this.#put(copy, key, () => value[key as never], depth);
    }
    return copy;
  }
}

function* inheritedGetters(value: object): Iterable<string> {
  let prototype: object | null = Object.getPrototypeOf(value);
  while (prototype !== null && prototype !== Object.prototype) {
    for (const [key, { get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (get && key !== "__proto__") yield key;
    }
    prototype = Object.getPrototypeOf(prototype);
  }
}

const anyArray = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;
const { slice } = anyArray;
/** Of an array, whatever its class says: "Float32Array"; undefined of a DataView. */
const typeOf = Object.getOwnPropertyDescriptor(anyArray, Symbol.toStringTag)?.get as () => string | undefined;

/** Of another window too. */
const isArrayBuffer = (value: object): value is ArrayBuffer =>
  Object.prototype.toString.call(value) === "[object ArrayBuffer]";

/** Of memory that threads share the view itself where it is all of that; else a copy, as the rest is nobody's business. */
function ownView(view: ArrayBufferView): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = view;
  if (byteLength === buffer.byteLength) return view;
  if (typeOf.call(view)) return slice.call(view);
  return new DataView(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** Another thread has it. */
function isGivenAway(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0 || !isArrayBuffer(buffer)) return false;
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

/** A key may be any text, "__proto__" too. */
function define(at: object, key: string | number, value: unknown): void {
  if (at instanceof Map) at.set(key, value);
  else Object.defineProperty(at, key, { value, enumerable: true, writable: true, configurable: true });
}

/** The values, with what was in slots in its place. */
export function unpack({ value, slots }: Packed, unpacking: Unpacking): unknown[] {
  for (const { at, key, content } of slots) {
    if (content.kind === "unreadable") {
      const get = () => {
        throw new Error(content.message);
      };
      Object.defineProperty(at, key, { get, enumerable: true, configurable: true });
    } else {
      define(at, key, contentOf(content, unpacking));
    }
  }
  return value as unknown[];
}

function contentOf(content: Exclude<Content, { kind: "unreadable" }>, unpacking: Unpacking): unknown {
  switch (content.kind) {
    case "url":
      return new URL(content.address);
    case "function":
      return unpacking.function(content.id);
    case "signal":
      return unpacking.signal(content.id);
    case "symbol":
      return Symbol(content.description);
    case "givenAway": {
      const buffer = new ArrayBuffer(8);
      const { type } = content;
      const value =
        type === "ArrayBuffer" ? buffer : new (globalThis[type as "Uint8Array"] ?? Uint8Array)(buffer);
      structuredClone(buffer, { transfer: [buffer] });
      return value;
    }
    case "file":
      define(content.file, "webkitRelativePath", content.path);
      return content.file;
  }
}
