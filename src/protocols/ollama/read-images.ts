import type { MessagePart } from "../../prompt/process-options.ts";
import type { Fields } from "../fields.ts";

/** In base64; addresses are read too, as some clients send them. A path never is one. @throws RequestError */
export function imageParts(fields: Fields): MessagePart[] {
  return (fields.strings("images") ?? []).map((text) => ({
    type: "image",
    image: /^(https?|data):/i.test(text) ? text : `data:;base64,${text}`,
  }));
}

/** Pictures stand before the text, as Ollama puts them. */
export function contentWith(images: readonly MessagePart[], text: string): string | readonly MessagePart[] {
  if (images.length === 0) return text;
  return text === "" ? images : [...images, { type: "text", text }];
}
