/** The packed tarball in the bundlers and runtimes that people use it with: each reads the demo picture. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import * as esbuild from "esbuild";
import { chromium as browserType } from "playwright-core";
import { ARGS, findChromium } from "../browser/chromium.ts";
import { serveLoopback } from "../browser/loopback.ts";

const CHECKPOINT = resolve("examples/demo/checkpoint");
const PICTURE = resolve("examples/demo/pictures/hello.png");
const EXPECTED = "Hello world";
const TOOLS = resolve("test/package/consumers/package.json");

/** What each consumer does, given where it finds its checkpoint and picture. */
const READ = `
import { loadModel } from "glimt";
export async function read(checkpoint, image) {
  const model = await loadModel(checkpoint);
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
    return text;
  } finally {
    await model.dispose();
  }
}
`;
/** As the script of a page that is served with the checkpoint beside it. */
const PAGE_SCRIPT = `
import { read } from "./read.mjs";
read(new URL("/checkpoint/", location.href), new URL("/pictures/hello.png", location.href)).then(
  (text) => { document.title = "answer: " + text; },
  (error) => { document.title = "error: " + (error.code ?? "") + " " + error.message; },
);
`;
const page = (script: string) =>
  `<!doctype html><title>…</title><script type="module" src="${script}"></script>`;
/** As a program of its own; it prints the answer. */
const PROGRAM = `
import { read } from "./read.mjs";
console.log(await read(${JSON.stringify(CHECKPOINT)}, ${JSON.stringify(PICTURE)}));
`;

type Check = (name: string, task: () => Promise<void>) => Promise<void>;

/** Each check is run through `check`; those whose tools can not be had are left out with a line that says so. */
export async function checkConsumers(tarball: string, check: Check): Promise<void> {
  const project = await mkdtemp(join(tmpdir(), "glimt-consumers-"));
  try {
    const consumers = new Consumers(project, check);
    const missing = await consumers.install(tarball);
    if (missing === undefined) await consumers.all();
    else console.log(`left out: bundlers and other runtimes, which can not be installed: ${missing}`);
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

class Consumers {
  readonly #project: string;
  readonly #check: Check;

  constructor(project: string, check: Check) {
    this.#project = project;
    this.#check = check;
  }

  /** @returns why it can not be done */
  async install(tarball: string): Promise<string | undefined> {
    await this.#write("package.json", await readFile(TOOLS, "utf8"));
    try {
      await this.#run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]);
    } catch (error) {
      return (error as Error).message.split("\n")[0];
    }
    await this.#run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", tarball]);
    await this.#write("read.mjs", READ);
    await this.#write("program.mjs", PROGRAM);
    await this.#write("page.mjs", PAGE_SCRIPT);
    return undefined;
  }

  async all(): Promise<void> {
    await this.#programs();
    if (findChromium() === undefined) console.log("left out: bundled pages, as there is no Chromium");
    else await this.#pages();
    await this.#check("Next.js: a page and an API route", () => this.#next());
  }

  async #programs(): Promise<void> {
    const answers = async (command: string, args: string[]) => {
      const { stdout } = await this.#run(command, args);
      expectAnswer(stdout.trim());
    };
    await this.#check("Deno", () => answers(this.#bin("deno"), ["run", "--allow-all", "program.mjs"]));
    await this.#check("Deno with what its permissions must be", () =>
      answers(this.#bin("deno"), ["run", "--no-prompt", "--allow-read", "program.mjs"]),
    );
    await this.#check("Deno without permissions says what is missing", async () => {
      const refused = await this.#run(this.#bin("deno"), ["run", "--no-prompt", "program.mjs"]).catch(
        (error) => error,
      );
      if (!/GlimtError/.test(refused.stderr) || !/--allow-read/.test(refused.stderr))
        throw new Error(refused.stderr);
    });
    await this.#check("Bun", () => answers(this.#bin("bun"), ["run", "program.mjs"]));
    await this.#check("esbuild, a program for Node", async () => {
      await this.#esbuild({
        entryPoints: ["program.mjs"],
        outfile: "esbuild-node/program.mjs",
        platform: "node",
      });
      await answers(process.execPath, ["esbuild-node/program.mjs"]);
    });
    await this.#check("webpack, a program for Node", async () => {
      await this.#webpack({ target: "node20", entry: "./program.mjs", output: "webpack-node" });
      await answers(process.execPath, ["webpack-node/main.mjs"]);
    });
  }

  async #pages(): Promise<void> {
    await this.#check("esbuild, a page in one file", async () => {
      await this.#esbuild({ entryPoints: ["page.mjs"], outfile: "esbuild-page/page.js" });
      await this.#openPage("esbuild-page", "/page.js");
    });
    await this.#check("esbuild, a page in chunks", async () => {
      await this.#esbuild({ entryPoints: ["page.mjs"], outdir: "esbuild-chunks", splitting: true });
      await this.#openPage("esbuild-chunks", "/page.js");
    });
    await this.#check("webpack, a page", async () => {
      await this.#webpack({ target: "web", entry: "./page.mjs", output: "webpack-page" });
      await this.#openPage("webpack-page", "/main.mjs");
    });
    await this.#check("vite, a page", async () => {
      await this.#write("index.html", page("/page.mjs"));
      await this.#run(this.#bin("vite"), ["build", "--outDir", "vite-page", "--logLevel", "warn"]);
      await this.#openPage("vite-page");
    });
    await this.#check("vite, its development server", async () => {
      await this.#write("index.html", page("/page.mjs"));
      this.#shareDemo("public");
      const port = await freePort();
      const server = this.#start(this.#bin("vite"), [
        "--port",
        String(port),
        "--strictPort",
        "--host",
        "127.0.0.1",
      ]);
      try {
        await this.#visit(`http://127.0.0.1:${port}/`);
      } finally {
        server.kill();
      }
    });
  }

  async #next(): Promise<void> {
    const inApp = (file: string, text: string) => this.#write(join("next", file), text);
    await inApp("package.json", JSON.stringify({ name: "app", private: true, type: "module" }));
    await inApp(
      "next.config.mjs",
      `export default {
         turbopack: { root: ${JSON.stringify(this.#project)} }, outputFileTracingRoot: ${JSON.stringify(this.#project)},
       };`,
    );
    await inApp("app/layout.jsx", "export default ({ children }) => <html><body>{children}</body></html>;");
    await inApp(
      "app/page.jsx",
      `"use client";
       import { useEffect } from "react";
       export default function Page() {
         useEffect(() => { import("./page.mjs"); }, []);
         return null;
       }`,
    );
    await inApp("app/read.mjs", READ);
    await inApp("app/page.mjs", PAGE_SCRIPT);
    await inApp(
      "app/api/route.mjs",
      `import { read } from "../read.mjs";
       export const dynamic = "force-dynamic";
       export async function GET() {
         return Response.json({ text: await read(${JSON.stringify(CHECKPOINT)}, ${JSON.stringify(PICTURE)}) });
       }`,
    );
    await inApp(
      "app/api/route.js",
      `export { GET } from "./route.mjs"; export const dynamic = "force-dynamic";`,
    );
    this.#shareDemo("next/public");
    const port = await freePort();
    for (const bundler of ["--turbopack", "--webpack"]) {
      await this.#run(this.#bin("next"), ["build", bundler, "next"]);
      const server = this.#start(this.#bin("next"), ["start", "-p", String(port), "-H", "127.0.0.1", "next"]);
      try {
        const origin = `http://127.0.0.1:${port}`;
        await waitFor(origin);
        const response = await fetch(`${origin}/api`);
        if (!response.ok) throw new Error(`${bundler}: the API route answered ${response.status}`);
        expectAnswer(((await response.json()) as { text: string }).text);
        if (findChromium() !== undefined) await this.#visit(`${origin}/`);
      } finally {
        server.kill();
        await new Promise((ended) => server.once("exit", ended));
      }
    }
  }

  async #esbuild(options: esbuild.BuildOptions): Promise<void> {
    const conditions = options.platform === "node" ? ["node"] : ["browser"];
    await esbuild.build({
      absWorkingDir: this.#project,
      bundle: true,
      format: "esm",
      logLevel: "error",
      conditions,
      ...options,
    });
  }

  async #webpack({
    target,
    entry,
    output,
  }: {
    target: string;
    entry: string;
    output: string;
  }): Promise<void> {
    const config = {
      mode: "production",
      target,
      entry,
      experiments: { outputModule: true },
      output: { path: join(this.#project, output), filename: "main.mjs", module: true, publicPath: "auto" },
    };
    await this.#write(
      "webpack.run.mjs",
      `import webpack from "webpack";
       webpack(${JSON.stringify(config)}, (error, stats) => {
         if (error || stats.hasErrors()) { console.error(error ?? stats.toString("errors-only")); process.exitCode = 1; }
       });`,
    );
    await this.#run(process.execPath, ["webpack.run.mjs"]);
  }

  /** Serves a built page with the checkpoint beside it, and reads its answer. */
  async #openPage(folder: string, script?: string): Promise<void> {
    const served = {
      "/checkpoint/": CHECKPOINT,
      "/pictures/": dirname(PICTURE),
      "/": join(this.#project, folder),
    };
    const pages = {
      "/": script ? page(script) : await readFile(join(this.#project, folder, "index.html"), "utf8"),
    };
    const server = await serveLoopback(served, pages);
    try {
      await this.#visit(`${server.origin}/`);
    } finally {
      server.close();
    }
  }

  async #visit(address: string): Promise<void> {
    await waitFor(address);
    const browser = await browserType.launch({ executablePath: findChromium() as string, args: ARGS });
    try {
      const tab = await browser.newPage();
      const complaints: string[] = [];
      let hasWorker = false;
      tab.on("worker", () => {
        hasWorker = true;
      });
      tab.on("pageerror", (error) => complaints.push(String(error)));
      tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
      await tab.goto(address);
      await tab
        .waitForFunction(() => /^(answer|error): /.test(document.title), undefined, { timeout: 60_000 })
        .catch((error) => {
          throw new Error(`${error.message}\n${complaints.join("\n")}`);
        });
      const title = await tab.title();
      if (title !== `answer: ${EXPECTED}`) throw new Error([title, ...complaints].join("\n"));
      if (!hasWorker) throw new Error("the picture was not decoded in a worker");
    } finally {
      await browser.close();
    }
  }

  #shareDemo(folder: string): void {
    const target = join(this.#project, folder);
    cpSync(CHECKPOINT, join(target, "checkpoint"), { recursive: true });
    cpSync(dirname(PICTURE), join(target, "pictures"), { recursive: true });
  }

  #bin(name: string): string {
    return join(this.#project, "node_modules/.bin", name);
  }

  #run(command: string, args: string[]): Promise<{ stdout: string; stderr: string }> {
    return promisify(execFile)(command, args, {
      cwd: this.#project,
      env: QUIET,
      maxBuffer: 1 << 26,
      timeout: 300_000,
    });
  }

  #start(command: string, args: string[]): ChildProcess {
    return spawn(command, args, { cwd: this.#project, env: QUIET, stdio: "ignore" });
  }

  async #write(file: string, text: string): Promise<void> {
    const path = join(this.#project, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
}

/** Tools that would ask the network. */
const QUIET = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", DENO_NO_UPDATE_CHECK: "1" };

function expectAnswer(text: string): void {
  if (text !== EXPECTED) throw new Error(`answered ${JSON.stringify(text)}`);
}

async function waitFor(address: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await fetch(address);
      return;
    } catch (error) {
      if (tries === 300) throw error;
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
