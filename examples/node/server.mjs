// Serves a checkpoint behind OpenAI's API, beside routes of one's own:
//   node examples/node/server.mjs MODEL [PORT]
import { loadModel } from "glimt";
import { createServer, listen } from "glimt/server";

const [location, port = "0"] = process.argv.slice(2);
if (!location) {
  console.error("usage: node server.mjs MODEL [PORT]");
  process.exit(1);
}

const model = await loadModel(location);
const server = createServer(model, {
  name: "reader",
  apiKeys: process.env.GLIMT_API_KEY ? [process.env.GLIMT_API_KEY] : [],
  limits: { maxTokens: 1024, concurrency: 16, queue: 64 },
  log: (entry) => console.error(JSON.stringify(entry)),
});
// Anything with a `fetch` of Requests can stand before it.
const routes = {
  close: server.close,
  requestTimeout: server.requestTimeout,
  async fetch(request) {
    if (new URL(request.url).pathname === "/") return new Response("Ask at /v1/chat/completions.\n");
    return server.fetch(request);
  },
};
const listening = await listen(routes, { port: Number(port) });
console.log(`${listening.url}/v1`);

process.once("SIGTERM", async () => {
  await listening.close({ timeout: 20_000 });
  await model.dispose();
});
