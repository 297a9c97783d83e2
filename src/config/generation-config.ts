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
    eosTokenIds: [...new Set(holder("eos_token_id")?.naturalNumbers("eos_token_id", true) ?? [])],
    padTokenId: holder("pad_token_id")?.naturalNumber("pad_token_id") ?? null,
    doSample: own?.has("do_sample") ? own.boolean("do_sample") : false,
    temperature: number("temperature"),
    topP: number("top_p"),
    topK: own?.has("top_k") ? own.naturalNumber("top_k") : null,
    repetitionPenalty: number("repetition_penalty"),
  });
}
