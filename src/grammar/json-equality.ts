/** When two values of JSON are the same: whatever the order of keys, and by what numbers are (1 and 1.0, 0 and -0). */

/** A text that the same values have, and no others. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  if (typeof value === "bigint") return String(value);
  // As the bigint is written that a schema has of its digits.
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return String(BigInt(value));
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(
    ([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`,
  );
  return `{${fields.sort().join()}}`;
}

export function isSameJson(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
