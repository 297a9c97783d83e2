/** What a model's chat template has a place for, found by asking it. */
import type { ServedModel } from "./served-model.ts";

export interface ModelAbilities {
  readonly tools: boolean;
  readonly thinking: boolean;
}

const QUESTION = [{ role: "user", content: "?" }] as const;
const TOOL = { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } };

export async function modelAbilities(model: Pick<ServedModel, "process">): Promise<ModelAbilities> {
  const prompt = (enableThinking: boolean) => model.process(QUESTION, { enableThinking });
  const tools = model.process(QUESTION, { tools: [TOOL] }).then(
    () => true,
    () => false,
  );
  const [thinking, plain] = await Promise.all([prompt(true), prompt(false)]);
  return { tools: await tools, thinking: thinking.promptText !== plain.promptText };
}
