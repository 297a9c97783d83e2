import type { Problem } from "../errors.ts";

/** What went wrong, as Ollama says it: of a response, and as the last line of a stream. */
export function ollamaError({ message }: Problem): { readonly error: string } {
  return { error: message };
}
