/** Results are the caller's alone: their large arrays are handed over, not copied. */

/** Buffers of the float arrays in a result, where each is all of its buffer. */
export function wholeBuffers(result: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const visit = (value: unknown): void => {
    if (value instanceof Float32Array) {
      const { buffer, byteLength } = value;
      if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength && byteLength > 0)
        found.add(buffer);
    } else if (Array.isArray(value)) {
      // Lists of numbers, which may be long, hold none.
      if (typeof value[0] === "object") for (const item of value) visit(item);
    } else if (typeof value === "object" && value !== null) {
      for (const item of Object.values(value)) visit(item);
    }
  };
  visit(result);
  return [...found];
}
