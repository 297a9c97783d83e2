/** What the model would be given of a conversation, for who counts its tokens. It takes a place as answers do. */
import type { Message, ProcessOptions } from "../prompt/process-options.ts";
import type { ProcessedInputs } from "../prompt/processed-inputs.ts";
import type { ServerContext } from "./context.ts";
import type { RequestScope } from "./request-scope.ts";

export interface AskedConversation {
  readonly model: string | undefined;
  readonly prompt: readonly Message[];
  readonly options: ProcessOptions;
}

/** @throws what is wrong with the request */
export async function readPrompt(
  { model, prompt, options }: AskedConversation,
  scope: RequestScope,
  { names, admission, options: { policy }, model: served }: ServerContext,
): Promise<ProcessedInputs> {
  names.find(model);
  const leave = await admission.enter(scope, 1, 0);
  try {
    const { specialTokensInText, sources } = policy;
    return await served.process(prompt, { specialTokensInText, sources, ...options, signal: scope.signal });
  } finally {
    leave();
  }
}
