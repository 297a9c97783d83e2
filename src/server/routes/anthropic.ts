/** Anthropic's Messages API. */
import { keptJsonText } from "../../json/kept.ts";
import { readAnthropicRequest, readCountTokensRequest } from "../../protocols/anthropic/read-request.ts";
import { anthropicEvents } from "../../protocols/anthropic/write-events.ts";
import { anthropicMessage } from "../../protocols/anthropic/write-message.ts";
import { newId } from "../../protocols/ids.ts";
import type { ServerContext } from "../context.ts";
import { readPrompt } from "../read-prompt.ts";
import { NAMED_EVENTS } from "../stream-body.ts";
import { newRoutes, type Routes } from "./routes.ts";

export function anthropicRoutes(context: ServerContext): Routes {
  const routes = newRoutes();
  routes.post("/v1/messages", async ({ env: scope }) => {
    const asked = readAnthropicRequest(await scope.json());
    const answer = await scope.answer(asked);
    const { oneCall, hidesThinking } = asked;
    const frame = { id: newId("msg_"), model: answer.model, oneCall, hidesThinking };
    return asked.stream
      ? scope.stream(anthropicEvents(answer.events, frame), NAMED_EVENTS)
      : scope.replyText(keptJsonText(anthropicMessage(await answer.result(), frame)));
  });
  routes.post("/v1/messages/count_tokens", async ({ env: scope }) => {
    const { model, prompt, options } = readCountTokensRequest(await scope.json());
    const { promptTokens } = await readPrompt({ model, prompt, options }, scope, context);
    return scope.reply({ input_tokens: promptTokens });
  });
  return routes;
}
