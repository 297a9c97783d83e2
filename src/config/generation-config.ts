/** generation_config.json -> stop tokens and sampling defaults. */
import { deepFreeze } from "./freeze.ts";
import { JsonSection } from "./json-section.ts";
import type { GenerationDefaults } from "./types.ts";

/**
 * The end-of-sequence ids come from generation_config.json, else from config.json's text_config or root, where older
 * files keep them. Every key is optional in transformers too: null means that the checkpoint says nothing.
 */
export function parseGenerationConfig(json: unknown, modelConfigJson: unknown): GenerationDefaults {
  const own = json === undefined ? null : JsonSection.root(json, "generation_config.json");
  const model = JsonSection.root(modelConfigJson, "config.json");
  const owners = [own, model.optionalSection("text_config"), model];
  const holder = (key: string) => owners.find((section) => section?.has(key));
  const number = (key: string) => (own?.has(key) ? own.nonNegativeNumber(key) : null);
  return deepFreeze({
    eosTokenIds: stopTokens(holder("eos_token_id")),
    padTokenId: padToken(holder("pad_token_id")?.get("pad_token_id")),
    doSample: own?.has("do_sample") ? own.boolean("do_sample") : false,
    temperature: number("temperature"),
    topP: number("top_p"),
    topK: own?.has("top_k") ? topK(own) : null,
    repetitionPenalty: number("repetition_penalty"),
  });
}

/** Other engines write -1 for no limit; transformers looks at it only where it samples. */
function topK(own: JsonSection): number {
  return own.get("top_k") === -1 ? 0 : own.naturalNumber("top_k");
}

/** An empty list names none; no token is -1, which says the same. */
function stopTokens(owner: JsonSection | null | undefined): number[] {
  const key = "eos_token_id";
  const value = owner?.get(key);
  if (!owner || value === undefined) return [];
  const list = Array.isArray(value) ? value : [value];
  if (!list.every((id) => Number.isSafeInteger(id))) throw owner.invalid(key, "an integer or a list of them");
  return [...new Set(list as number[])].filter((id) => id >= 0);
}

/** Nobody pads here: whatever a file has in place of an id (-1 is common) says nothing. */
function padToken(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}
