/** The sources that the runtimes run: each reads the demo's picture through what `glimt` is there. */
import { resolve } from "node:path";

export const CHECKPOINT = resolve("examples/demo/checkpoint");
export const PICTURE = resolve("examples/demo/pictures/hello.png");
const EXPECTED = "Hello world";

/** @throws Error for another answer than the demo's */
export function expectAnswer(text: string): void {
  if (text.trim() !== EXPECTED) throw new Error(`answered ${JSON.stringify(text)}`);
}

/** What each is asked, given where it finds its checkpoint and picture: as it is, by an expression, in a call of a tool. */
export const READ = `
import { loadModel } from "glimt";
export async function read(checkpoint, image, options) {
  const model = await loadModel(checkpoint, options);
  try {
    const content = [{ type: "image", image }, { type: "text", text: "Text Recognition:" }];
    const ask = (options) => model.complete([{ role: "user", content }], options);
    const { text } = await ask({ maxTokens: 24 });
    const parameters = { type: "object", properties: { row: { type: "integer", minimum: 0, maximum: 9 } }, required: ["row"] };
    const tools = [{ type: "function", function: { name: "save", parameters } }];
    const shaped = await ask({ structured: { regex: "[A-Z][a-z]{1,9}" }, maxTokens: 24 });
    const { toolCalls } = await ask({ tools, toolChoice: { name: "save" }, maxTokens: 60 });
    const { row } = JSON.parse(toolCalls[0].arguments);
    if (!/^[A-Z][a-z]{1,9}$/.test(shaped.text) || !(row >= 0 && row <= 9)) throw new Error(shaped.text + row);
    return { text, backend: model.backend };
  } finally {
    await model.dispose();
  }
}
`;

/** As a program of its own; it prints the answer. */
export const PROGRAM = `
import { read } from "./read.mjs";
console.log((await read(${JSON.stringify(CHECKPOINT)}, ${JSON.stringify(PICTURE)})).text);
`;

/** The same where modules are required, all that the package has for Node. */
export const REQUIRING = `
const { loadModel, GlimtError } = require("glimt");
const { createServer } = require("glimt/server");
const { readDocument } = require("glimt/ocr");
const { createGlimt } = require("glimt/ai");
if (![createServer, readDocument, createGlimt, GlimtError].every((it) => typeof it === "function")) throw new Error("incomplete");
loadModel(${JSON.stringify(CHECKPOINT)}).then(async (model) => {
  const content = [{ type: "image", image: ${JSON.stringify(PICTURE)} }, { type: "text", text: "Text Recognition:" }];
  console.log((await model.complete([{ role: "user", content }], { maxTokens: 24 })).text);
  await model.dispose();
});
`;

/** The model behind a socket, asked by the program itself: whole, and left while its stream goes on. */
export const SERVE = `
import { readFile } from "node:fs/promises";
import { loadModel } from "glimt";
import { createServer, listen } from "glimt/server";
const model = await loadModel(${JSON.stringify(CHECKPOINT)});
const listening = await listen(createServer(model, { apiKeys: ["key"] }));
const url = "data:image/png;base64," + (await readFile(${JSON.stringify(PICTURE)})).toString("base64");
const content = [{ type: "image_url", image_url: { url } }, { type: "text", text: "Text Recognition:" }];
const ask = (fields, signal) =>
  fetch(listening.url + "/v1/chat/completions", {
    method: "POST",
    headers: { authorization: "Bearer key" },
    body: JSON.stringify({ messages: [{ role: "user", content }], ...fields }),
    signal,
  });
const { choices } = await (await ask({})).json();
const stop = new AbortController();
const stream = await ask({ stream: true, ignore_eos: true, max_tokens: 4000 }, stop.signal);
await stream.body.getReader().read();
stop.abort();
while (model.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 5));
await listening.close();
await model.dispose();
console.log(choices[0].message.content);
`;

/** What a page says of an answer is its title: JSON. */
const TELL = `
export const tell = (answer) => answer.then(
  (found) => { document.title = "found: " + JSON.stringify(found); },
  (error) => { document.title = "error: " + (error.code ?? "") + " " + error.message; },
);
`;

/** As the script of a page that is served with the checkpoint beside it. */
export const PAGE_SCRIPT = `
import { read } from "./read.mjs";
import { tell } from "./tell.mjs";
tell(read(new URL("/checkpoint/", location.href), new URL("/pictures/hello.png", location.href)));
`;

/** The same in a worker of the page's own. */
const WORKER_SCRIPT = `
import { read } from "./read.mjs";
read(new URL("/checkpoint/", location.href), new URL("/pictures/hello.png", location.href)).then(
  (found) => postMessage({ found }),
  (error) => postMessage({ error: error.message }),
);
`;
const WORKER_PAGE_SCRIPT = `
import { tell } from "./tell.mjs";
const worker = new Worker(new URL("./own-worker.mjs", import.meta.url), { type: "module" });
tell(new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => data.found ? resolve(data.found) : reject(new Error(data.error));
  worker.onerror = (event) => reject(new Error(event.message));
}));
`;

/** The files of the project that all of them share. */
export const SHARED_FILES: Readonly<Record<string, string>> = {
  "read.mjs": READ,
  "tell.mjs": TELL,
  "program.mjs": PROGRAM,
  "requiring.cjs": REQUIRING,
  "serve.mjs": SERVE,
  "page.mjs": PAGE_SCRIPT,
  "own-worker.mjs": WORKER_SCRIPT,
  "worker-page.mjs": WORKER_PAGE_SCRIPT,
};
