/** What a file says, as an error may show it: its names and values can have millions of characters. */

const MOST = 120;

export function shownName(name: string): string {
  return name.length > MOST ? `${name.slice(0, MOST)}...` : name;
}

/** A value of parsed JSON, or undefined for none. */
export function shownValue(value: unknown): string {
  return shownName(String(JSON.stringify(value)));
}
