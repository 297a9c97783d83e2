/** A body of Ollama's /api/generate as what is asked of a model. */
import type { Message } from "../../prompt/process-options.ts";
import type { Asked } from "../asked.ts";
import { Fields } from "../fields.ts";
import { needed } from "../needed.ts";
import { contentWith, imageParts } from "./read-images.ts";
import { readAnswerFields } from "./read-options.ts";

/** `prompt` is empty where the model is only to be loaded, as it is already. */
export interface OllamaGenerateRequest extends Asked {
  readonly model: string;
  readonly prompt: readonly Message[];
}

/** @throws RequestError naming the field */
export function readOllamaGenerate(body: unknown): OllamaGenerateRequest {
  const fields = new Fields(body);
  const model = needed(fields, "model", fields.string("model"));
  const text = fields.string("prompt") ?? "";
  const system = fields.string("system") ?? "";
  const images = imageParts(fields);
  const { options, stream } = readAnswerFields(fields);
  fields.refuse("raw", "The chat template of the model is used; /v1/completions takes text as it is.", [
    false,
  ]);
  fields.refuse("template", "The chat template of the model is used.", [""]);
  fields.refuse("suffix", "The model fills no gaps.", [""]);
  fields.refuse("context", "Send the conversation to /api/chat.", [[]]);
  fields.end();
  const isEmpty = text === "" && images.length === 0;
  const user: Message = { role: "user", content: contentWith(images, text) };
  const before: readonly Message[] = system === "" ? [] : [{ role: "system", content: system }];
  return { model, prompt: isEmpty ? [] : [...before, user], options, stream };
}
