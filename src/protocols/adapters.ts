/** vLLM's requests to load and unload adapters. */
import { Fields } from "./fields.ts";
import { needed } from "./needed.ts";

/** @throws RequestError naming the field */
export function readLoadAdapter(body: unknown): { readonly name: string; readonly path: string } {
  const fields = new Fields(body);
  const name = needed(fields, "lora_name", fields.string("lora_name"));
  const path = needed(fields, "lora_path", fields.string("lora_path"));
  fields.pass(["base_model_name"]);
  fields.refuse("load_inplace", "Unload the adapter first.", [false]);
  fields.end();
  return { name, path };
}

/** @throws RequestError naming the field */
export function readUnloadAdapter(body: unknown): { readonly name: string } {
  const fields = new Fields(body);
  const name = needed(fields, "lora_name", fields.string("lora_name"));
  // vLLM's number of it, which says no more.
  fields.pass(["lora_int_id"]);
  fields.end();
  return { name };
}
