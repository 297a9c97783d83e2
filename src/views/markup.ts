/** Text in HTML and SVG, and how figures are written in it. */

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** As text or as the value of an attribute in quotes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => ENTITIES[letter] as string);
}

/** "1,234,567": the same everywhere, whatever the reader's language is. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "1 token", "1,234 tokens". */
export function countOf(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** "0.4 %", "12 %". */
export function percent(share: number): string {
  const value = 100 * share;
  return `${value.toFixed(Math.abs(value) < 10 ? 1 : 0)} %`;
}

/** "3 s", "3.5 s", of whole minutes on "2:07". */
export function clock(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toFixed(2))} s`;
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Of drawings: as few digits as a pixel needs. */
export function digits(value: number): string {
  return String(Number(value.toFixed(2)));
}
