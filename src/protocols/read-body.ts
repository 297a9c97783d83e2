/** The text of a request's body as JSON. */
import { readKeptJson } from "../json/kept.ts";

/** What may hold tools, calls of them, or schemas (Ollama's stand under "format"): the model is shown them as they were written. */
const SHOWN = ['"tool', 'schema"', '"format"'];

/** @throws Error saying what is wrong */
export function parseBody(text: string): unknown {
  return SHOWN.some((key) => text.includes(key)) ? readKeptJson(text) : JSON.parse(text);
}
