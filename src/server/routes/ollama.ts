/** Ollama's API, as far as it is about one model that is loaded already. */
import { keptJsonText } from "../../json/kept.ts";
import { RequestError } from "../../protocols/errors.ts";
import { Fields } from "../../protocols/fields.ts";
import { type ModelAbilities, modelAbilities } from "../../protocols/model-abilities.ts";
import { readOllamaChat } from "../../protocols/ollama/read-chat.ts";
import { readOllamaGenerate } from "../../protocols/ollama/read-generate.ts";
import {
  chatForm,
  generateForm,
  ollamaAnswer,
  ollamaLines,
  ollamaLoaded,
  type PieceForm,
} from "../../protocols/ollama/write-answer.ts";
import { ollamaRunning, ollamaShow, ollamaTags } from "../../protocols/ollama/write-models.ts";
import type { ServerContext } from "../context.ts";
import type { RequestScope } from "../request-scope.ts";
import { JSON_LINES } from "../stream-body.ts";
import { newRoutes, type Routes } from "./routes.ts";

type Reader = typeof readOllamaChat | typeof readOllamaGenerate;

export function ollamaRoutes({ model, names }: ServerContext): Routes {
  const routes = newRoutes();
  let abilities: Promise<ModelAbilities> | null = null;
  const listed = () => names.list().map(({ id, created }) => ({ name: id, created }));
  /** Ollama's clients say which version of a model they want; there is one. */
  const found = (asked: string) => {
    const isServed = listed().some(({ name }) => name === asked);
    return names.find(isServed ? asked : asked.replace(/:latest$/, "")).name;
  };
  const answer = async (scope: RequestScope, read: Reader, form: PieceForm) => {
    const asked = read(await scope.json());
    const name = found(asked.model);
    if (asked.prompt.length === 0) {
      const loaded = ollamaLoaded(asked.model, form);
      return asked.stream ? scope.stream(once(loaded), JSON_LINES) : scope.reply(loaded);
    }
    const { events, result } = await scope.answer({ ...asked, model: name });
    return asked.stream
      ? scope.stream(ollamaLines(events, asked.model, form), JSON_LINES)
      : scope.replyText(keptJsonText(ollamaAnswer(await result(), asked.model, form)));
  };
  routes.post("/api/chat", ({ env: scope }) => answer(scope, readOllamaChat, chatForm));
  routes.post("/api/generate", ({ env: scope }) => answer(scope, readOllamaGenerate, generateForm));
  routes.get("/api/tags", ({ env: scope }) => scope.reply(ollamaTags(listed(), model.config)));
  routes.get("/api/ps", ({ env: scope }) => scope.reply(ollamaRunning(listed(), model.config)));
  routes.get("/api/version", ({ env: scope }) => scope.reply({ version: GLIMT_VERSION }));
  routes.post("/api/show", async ({ env: scope }) => {
    const fields = new Fields(await scope.json());
    const asked = fields.string("model") ?? fields.string("name");
    fields.pass(["name", "verbose"]);
    fields.end();
    if (asked === undefined) throw fields.missing("model");
    const name = found(asked);
    const shown = listed().find((other) => other.name === name);
    if (!shown) throw new RequestError("notFound", "The model was unloaded.", { param: "model" });
    // What failed, as where memory ran out, is asked for again.
    abilities ??= modelAbilities(model).catch((error) => {
      abilities = null;
      throw error;
    });
    return scope.reply(ollamaShow(shown, model.config, await abilities));
  });
  return routes;
}

async function* once(line: object): AsyncGenerator<object, void, void> {
  yield line;
}
