/** The demo checkpoint behind a socket of this machine, for clients. */
import { readFileSync } from "node:fs";
import { loadModel, type Model } from "../../src/index.ts";
import { listen } from "../../src/server/listen.node.ts";
import type { ListeningServer } from "../../src/server/listening.ts";
import type { ServerOptions } from "../../src/server/options.ts";
import { createServer } from "../../src/server/server.ts";

export const KEY = "a-key";
export const READ = "Text Recognition:";
export const PICTURE = readFileSync("examples/demo/pictures/hello.png").toString("base64");

/** Greedy where a request says nothing, and of few tokens: the demo has learnt to read, and nothing else. */
export const OPTIONS: ServerOptions = {
  name: "demo",
  apiKeys: [KEY],
  checkpointSampling: false,
  limits: { maxTokens: 64 },
};

export interface Served extends Pick<ListeningServer, "url"> {
  readonly model: Model;
  close(): Promise<void>;
}

export async function serveDemo(options: ServerOptions = OPTIONS): Promise<Served> {
  const model = await loadModel("examples/demo/checkpoint", { backend: "wasm", threads: 1 });
  const { url, close } = await listen(createServer(model, options));
  return {
    url,
    model,
    async close() {
      await close();
      await model.dispose();
    },
  };
}

/** Resolves when no request is under way: it is asked again and again, and a test that hangs is ended by the run. */
export async function idle(model: Model): Promise<void> {
  while (model.stats().running + model.stats().waiting > 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
