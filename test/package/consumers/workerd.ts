/** workerd, which runs Cloudflare Workers: a Worker bundled as Wrangler does it. */
import { copyFile, mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as esbuild from "esbuild";
import { serveLoopback } from "../../browser/loopback.ts";
import { CHECKPOINT, expectAnswer, PICTURE } from "./programs.ts";
import { freePort, type Project, waitFor } from "./project.ts";
import type { Row, RowCheck } from "./row.ts";

const WORKER = `
import { GlimtError, loadModel, openProcessor } from "glimt";
import { createServer } from "glimt/server";
import { loadModel as loadAtEdge } from "glimt/edge";
import { read } from "./read.mjs";

let server;
const failure = (promise) => promise.then(
  () => "it loaded",
  (error) => error instanceof GlimtError ? error.code + ": " + error.message : String(error),
);
const routes = {
  read: ({ checkpoint, picture }) => read(checkpoint, picture),
  async count({ checkpoint, picture }) {
    const processor = await openProcessor(checkpoint);
    const inputs = await processor.process([{ role: "user", content: [{ type: "image", image: picture }] }]);
    return { tokens: inputs.inputIds.length, grid: inputs.imageGridThw };
  },
  large: ({ checkpoint }) => failure(loadModel(checkpoint, { kvCache: { bytes: 2 ** 28 } })),
  edge: ({ checkpoint }) => failure(loadAtEdge(checkpoint, { backend: "wasm" })),
};
export default {
  async fetch(request, { ORIGIN }) {
    const places = { checkpoint: ORIGIN + "/checkpoint/", picture: new URL(ORIGIN + "/pictures/hello.png") };
    const { pathname } = new URL(request.url);
    const route = routes[pathname.slice(1)];
    try {
      if (route) return Response.json(await route(places));
      server ??= loadModel(places.checkpoint).then((model) => createServer(model));
      return (await server).fetch(request);
    } catch (error) {
      return new Response(error.stack, { status: 500 });
    }
  },
};
`;

/** The Worker's one script, and the WebAssembly files that it imports, in a folder with workerd's configuration. */
async function bundleWorker(project: Project, origin: string, port: number): Promise<void> {
  await project.write("worker.mjs", WORKER);
  const folder = project.path("workerd");
  const modules = new Set<string>();
  await mkdir(folder, { recursive: true });
  await esbuild.build({
    absWorkingDir: project.folder,
    entryPoints: ["worker.mjs"],
    outfile: "workerd/worker.js",
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    logLevel: "error",
    plugins: [
      {
        name: "modules",
        setup: (build) =>
          build.onResolve({ filter: /\.wasm$/ }, async ({ path, resolveDir }) => {
            const name = basename(path);
            await copyFile(join(resolveDir, path), join(folder, name));
            modules.add(name);
            return { path: `./${name}`, external: true };
          }),
      },
    ],
  });
  const embedded = [...modules].map((name) => `(name = "${name}", wasm = embed "${name}")`);
  await project.write(
    "workerd/config.capnp",
    `using Workerd = import "/workerd/workerd.capnp";
     const config :Workerd.Config = (
       services = [
         (name = "main", worker = .main),
         (name = "internet", network = (allow = ["private", "public", "local"])),
       ],
       sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
     );
     const main :Workerd.Worker = (
       modules = [(name = "worker.js", esModule = embed "worker.js"), ${embedded.join(", ")}],
       compatibilityDate = "2025-05-05",
       bindings = [(name = "ORIGIN", text = "${origin}")],
     );`,
  );
}

/** Asks the Worker. */
type Ask = (path: string, init?: RequestInit) => Promise<unknown>;

const inWorker = (name: string, use: (ask: Ask) => Promise<void>): RowCheck => ({
  name,
  run: async (project) => {
    const files = await serveLoopback({ "/checkpoint/": CHECKPOINT, "/pictures/": dirname(PICTURE) });
    try {
      const port = await freePort();
      await bundleWorker(project, files.origin, port);
      const args = ["serve", project.path("workerd/config.capnp")];
      await project.during(project.bin("workerd"), args, async () => {
        await waitFor(`http://127.0.0.1:${port}/count`);
        await use(async (path, init) => {
          const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
          if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
          return response.json();
        });
      });
    } finally {
      files.close();
    }
  },
});

async function expectMatch(text: Promise<unknown>, pattern: RegExp): Promise<void> {
  if (!pattern.test(String(await text))) throw new Error(String(await text));
}

export const WORKERD: Row = {
  name: "Cloudflare Workers (workerd)",
  how: "small models, and every model's processor; `glimt` is `glimt/workerd` there",
  tools: ["workerd"],
  checks: [
    inWorker("workerd, a small model, tokens counted, what does not fit, a server", async (ask) => {
      expectAnswer(((await ask("/read")) as { text: string }).text);
      const { tokens, grid } = (await ask("/count")) as { tokens: number; grid: number[][] };
      if (tokens !== 16 || grid.join() !== "1,2,16") throw new Error(JSON.stringify({ tokens, grid }));
      await expectMatch(ask("/large"), /^OUT_OF_MEMORY: .*128 MB.*maxMemory/);
      await expectMatch(ask("/edge"), /^BACKEND_UNAVAILABLE: .*glimt\/workerd/);
      const message = { role: "user", content: "Text Recognition:" };
      const completion = () =>
        ask("/v1/chat/completions", {
          method: "POST",
          body: JSON.stringify({ messages: [message], max_tokens: 8 }),
        });
      const [first, second] = await Promise.all([completion(), completion()]);
      const text = (answer: unknown) => (answer as { choices: { message: object }[] }).choices[0]?.message;
      if (JSON.stringify(text(first)) !== JSON.stringify(text(second))) {
        throw new Error(JSON.stringify([first, second]));
      }
    }),
  ],
};
