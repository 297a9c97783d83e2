/** Text that is safe in HTML, as far as templates make it: `escape`, `safe` and what is joined to their results. */

import type { Value } from "./py-object.ts";
import { str } from "./repr.ts";
import type { Runtime } from "./runtime.ts";
import { Markup } from "./sequences.ts";
import { textOf } from "./values.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "'": "&#39;",
  '"': "&#34;",
};

export function escapeHtml(value: Value, rt: Runtime): string {
  if (value instanceof Markup) return value.text;
  return rt.text(
    rt.characters(str(value, rt)).replace(/[&<>'"]/g, (character) => ESCAPES[character] as string),
  );
}

/** A text as one that is safe where the value it comes from was. */
export function like(source: Value, text: string): Value {
  return source instanceof Markup ? new Markup(text) : text;
}

/** The sum of two texts, of which one is Markup. */
export function joinMarkup(a: Value, b: Value, rt: Runtime): Value | undefined {
  if (textOf(a) === undefined || textOf(b) === undefined) return undefined;
  return new Markup(rt.text(escapeHtml(a, rt) + escapeHtml(b, rt)));
}
