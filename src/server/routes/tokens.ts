/** Texts and conversations as token ids, and back, as vLLM gives them. */
import { RequestError } from "../../protocols/errors.ts";
import { readDetokenizeRequest, readTokenizeRequest, tokenizeResponse } from "../../protocols/tokens.ts";
import type { ServerContext } from "../context.ts";
import { readPrompt } from "../read-prompt.ts";
import { newRoutes, type Routes } from "./routes.ts";

export function tokenRoutes(context: ServerContext): Routes {
  const { model, names } = context;
  const routes = newRoutes();
  // As they are: what a control token spells is what is asked for.
  const textOf = (ids: readonly number[]) => model.detokenize(ids, { skipSpecialTokens: false });
  /** One by one, each token once: a text has many of few. */
  const textsOf = async (ids: readonly number[]) => {
    const texts = new Map<number, string>();
    for (const id of new Set(ids)) texts.set(id, await textOf([id]));
    return ids.map((id) => texts.get(id) as string);
  };
  routes.post("/tokenize", async ({ env: scope }) => {
    const asked = readTokenizeRequest(await scope.json());
    names.find(asked.model);
    const { signal } = scope;
    const ids =
      "text" in asked
        ? await model.tokenize(asked.text, { addSpecialTokens: asked.addSpecialTokens, signal })
        : (await readPrompt(asked, scope, context)).inputIds;
    const texts = asked.withTexts ? await textsOf(ids) : null;
    return scope.reply(tokenizeResponse(ids, texts, model.config.text.maxPositionEmbeddings));
  });
  routes.post("/detokenize", async ({ env: scope }) => {
    const { model: name, tokens } = readDetokenizeRequest(await scope.json());
    names.find(name);
    const { vocabSize } = model.config.text;
    const odd = tokens.find((id) => id < 0 || id >= vocabSize);
    if (odd !== undefined) {
      throw new RequestError("invalid", `tokens has ${odd}, expected token ids of 0..${vocabSize - 1}.`, {
        param: "tokens",
      });
    }
    return scope.reply({ prompt: await textOf(tokens) });
  });
  return routes;
}
