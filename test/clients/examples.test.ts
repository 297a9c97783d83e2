/** The examples that need packages of others, or a browser: with React, in Next.js, in a worker of the page's own. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ARGS, findChromium } from "../browser/chromium.ts";
import { type Loopback, serveLoopback } from "../browser/loopback.ts";

const DEMO = "examples/demo/checkpoint";
const PICTURE = "examples/demo/pictures/numbers.png";
const TEXT = "#48213 17:05\n92% 7304";
const MODULES = resolve("test/clients/node_modules");

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

/** Within the repository, where the package finds itself by its name. */
let folder: string;
let browser: Browser | undefined;
test.before(async () => {
  mkdirSync("build", { recursive: true });
  folder = mkdtempSync("build/examples-");
  if (executablePath !== undefined) browser = await chromium.launch({ executablePath, args: ARGS });
});
test.after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("the examples in TypeScript are right by the package's types and React's", () => {
  const config = {
    extends: resolve("tsconfig.json"),
    compilerOptions: {
      jsx: "react-jsx",
      paths: {
        glimt: [resolve("src/index.ts")],
        react: [join(MODULES, "@types/react")],
        "react/*": [join(MODULES, "@types/react/*")],
      },
      typeRoots: [resolve("node_modules/@types")],
    },
    include: ["examples/react", "examples/nextjs", "src/built-in.d.ts", "src/wasm-modules.d.ts"].map((path) =>
      resolve(path),
    ),
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const { status, stdout } = spawnSync(
    process.execPath,
    ["node_modules/typescript/bin/tsc", "-p", folder, "--pretty", "false"],
    { encoding: "utf8" },
  );
  assert.is(status, 0, stdout);
});

test("the route of the Next.js example streams what a picture says, and tells what is none", async () => {
  const outfile = join(folder, "route.mjs");
  const entryPoints = ["examples/nextjs/app/api/read/route.ts"];
  await esbuild.build({
    entryPoints,
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["glimt"],
  });
  process.env.GLIMT_MODEL = DEMO;
  const { POST } = (await import(pathToFileURL(outfile).href)) as {
    POST(request: Request): Promise<Response>;
  };
  const post = async (image: Blob | string) => {
    const body = new FormData();
    body.set("image", image);
    const response = await POST(new Request("http://localhost/api/read", { method: "POST", body }));
    return [response.status, await response.text()];
  };
  assert.equal(await post(new Blob([readFileSync(PICTURE)])), [200, TEXT]);
  const [status, message] = await post(new Blob(["no picture"]));
  assert.is(status, 400);
  assert.match(message as string, /image/i);
  assert.equal(await post("no file"), [400, "Send a picture as the form's field image."]);
  const noForm = await POST(new Request("http://localhost/api/read", { method: "POST", body: "text" }));
  assert.is(noForm.status, 400);
  const { model } = globalThis as { model?: Promise<{ dispose(): Promise<void> }> };
  await (await model)?.dispose();
});

/** Serves a script and those beside it, bundled as a user's build would, with the package's worker beside them. */
async function site(entryPoints: Record<string, string>, html: string): Promise<Loopback> {
  const outdir = mkdtempSync(join(folder, "site-"));
  await esbuild.build({
    entryPoints,
    outdir,
    bundle: true,
    format: "esm",
    jsx: "automatic",
    conditions: ["browser"],
    define: { "process.env.NODE_ENV": '"production"' },
    alias: { glimt: resolve("dist/edge.js") },
    nodePaths: [MODULES],
    logLevel: "error",
  });
  copyFileSync("dist/worker.js", join(outdir, "worker.js"));
  return serveLoopback({ "/site/": outdir, "/examples/": "examples" }, { "/": html });
}

async function visit<T>(server: Loopback, use: (page: Page) => Promise<T>): Promise<T> {
  const page = await (browser as Browser).newPage();
  try {
    await page.goto(server.origin);
    return await use(page);
  } finally {
    await page.close();
    server.close();
  }
}

inChromium("the React hook loads a model and reads the picture that somebody chooses", async () => {
  const entry = join(folder, "react.tsx");
  writeFileSync(
    entry,
    `import { StrictMode } from "react";
     import { createRoot } from "react-dom/client";
     import { Reader } from "../../examples/react/reader.tsx";
     createRoot(document.body).render(<StrictMode><Reader model="/${DEMO}" /></StrictMode>);`,
  );
  const server = await site(
    { react: entry },
    '<!doctype html><body><script type="module" src="/site/react.js"></script>',
  );
  await visit(server, async (page) => {
    const input = page.locator("input:enabled");
    await input.setInputFiles(PICTURE);
    await page.locator("pre", { hasText: TEXT }).waitFor();
    // What is no picture is told, and the next one is read.
    await input.setInputFiles("package.json");
    await page.locator("[role=alert]").waitFor();
    await input.setInputFiles("examples/demo/pictures/hello.png");
    await page.locator("pre", { hasText: "Hello world" }).waitFor();
    assert.is(await page.locator("[role=alert]").count(), 0);
  });
});

inChromium("the worker of one's own answers a page", async () => {
  const server = await site(
    { page: "examples/worker/page.js", reader: "examples/worker/reader.js" },
    `<!doctype html><script type="module">
       import { open, read } from "/site/page.js";
       open(location.origin + "/${DEMO}");
       globalThis.ask = async (address) => read(await (await fetch(address)).blob()).catch(({ message }) => message);
     </script>`,
  );
  await visit(server, async (page) => {
    await page.waitForFunction("globalThis.ask");
    assert.is(await page.evaluate(`ask("/${PICTURE}")`), TEXT);
    assert.match((await page.evaluate(`ask("/examples/demo/README.md")`)) as string, /image/i);
  });
});

test.run();
