import type { Fields } from "./fields.ts";

/** The value of a field that a request can not be without. @throws RequestError where it is not set */
export function needed<T>(fields: Fields, name: string, value: T | undefined): T {
  if (value === undefined) throw fields.missing(name);
  return value;
}
