/** OpenAI's API. */
import type { Asked, AskedPrompt } from "../../protocols/asked.ts";
import { RequestError } from "../../protocols/errors.ts";
import { newId } from "../../protocols/ids.ts";
import { chatChunks } from "../../protocols/openai/chat-chunks.ts";
import { readChatRequest } from "../../protocols/openai/chat-request.ts";
import { writeChatCompletion } from "../../protocols/openai/chat-response.ts";
import { readCompletionRequest } from "../../protocols/openai/completion-request.ts";
import { completionChunks, writeCompletion } from "../../protocols/openai/completion-response.ts";
import { writeModel, writeModels } from "../../protocols/openai/models.ts";
import { responseEvents } from "../../protocols/openai/responses/response-events.ts";
import { writeResponse } from "../../protocols/openai/responses/response-object.ts";
import { readResponseRequest } from "../../protocols/openai/responses/response-request.ts";
import { sideBySide } from "../../protocols/side-by-side.ts";
import type { ServerContext } from "../context.ts";
import { NAMED_EVENTS, OPENAI_EVENTS } from "../stream-body.ts";
import { newRoutes, type Routes } from "./routes.ts";

export function openaiRoutes({ names, model }: ServerContext): Routes {
  const routes = newRoutes();
  const textOf = async (prompt: AskedPrompt): Promise<string> => {
    if ("text" in prompt) return prompt.text;
    return "inputIds" in prompt ? model.detokenize(prompt.inputIds, { skipSpecialTokens: false }) : "";
  };
  routes.post("/v1/chat/completions", async ({ env: scope }) => {
    const asked = readChatRequest(await scope.json());
    const answer = await scope.answer(asked);
    const name = { id: newId("chatcmpl-"), model: answer.model, created: now() };
    return asked.stream
      ? scope.stream(chatChunks(answer.events, asked, name), OPENAI_EVENTS)
      : scope.reply(writeChatCompletion(await answer.result(), asked, name));
  });
  routes.post("/v1/completions", async ({ env: scope }) => {
    const completion = readCompletionRequest(await scope.json());
    const { asked, stream, echo } = completion;
    const prompts = echo ? await Promise.all(asked.map(({ prompt }) => textOf(prompt))) : [];
    const name = (answered: string) => ({ id: newId("cmpl-"), model: answered, created: now() });
    if (!stream) {
      const answers = await Promise.all(
        asked.map(async (each) => {
          const answer = await scope.answer(each);
          return { model: answer.model, result: await answer.result() };
        }),
      );
      const results = answers.map(({ result }) => result);
      return scope.reply(writeCompletion(results, prompts, name(answers[0]?.model as string)));
    }
    // What is wrong with the first is most likely wrong with all, and is told with a status.
    const first = await scope.answer(asked[0] as Asked);
    const open = asked.map(
      (each, index) => async () => (index === 0 ? first : await scope.answer(each)).events,
    );
    return scope.stream(
      completionChunks(sideBySide(open), prompts, completion, name(first.model)),
      OPENAI_EVENTS,
    );
  });
  routes.post("/v1/responses", async ({ env: scope }) => {
    const asked = readResponseRequest(await scope.json());
    const answer = await scope.answer(asked);
    const name = { id: newId("resp_"), model: answer.model, created: now() };
    return asked.stream
      ? scope.stream(responseEvents(answer.events, asked, name), NAMED_EVENTS)
      : scope.reply(writeResponse(await answer.result(), asked, name));
  });
  routes.get("/v1/models", ({ env: scope }) => scope.reply(writeModels(names.list())));
  routes.get("/v1/models/:id{.+}", ({ env: scope, req }) => {
    const id = req.param("id");
    const model = names.list().find((listed) => listed.id === id);
    if (model) return scope.reply(writeModel(model));
    throw new RequestError("notFound", "There is no model of that name here; /v1/models lists what is.", {
      param: "model",
      code: "model_not_found",
    });
  });
  return routes;
}

/** Seconds since 1970. */
function now(): number {
  return Math.floor(Date.now() / 1000);
}
