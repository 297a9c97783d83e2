/** esbuild, webpack and vite: pages, and programs for Node. */
import { copyFile } from "node:fs/promises";
import * as esbuild from "esbuild";
import { freePort, type Project } from "./project.ts";
import type { Row } from "./row.ts";
import { openPage, page, visit, withoutChromium } from "./visit.ts";

/** What a page must send to have threads. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
/** All that a page needs whose worker is a file beside it. */
const POLICY = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; img-src data:",
};
/** What one needs in a single file. */
const BLOB_POLICY = {
  "content-security-policy": POLICY["content-security-policy"].replace(
    "worker-src 'self'",
    "worker-src blob:",
  ),
};

async function bundle(project: Project, options: esbuild.BuildOptions): Promise<void> {
  await esbuild.build({
    absWorkingDir: project.folder,
    bundle: true,
    format: "esm",
    logLevel: "error",
    conditions: [options.platform === "node" ? "node" : "browser"],
    ...options,
  });
}

/** Pages that the checks of a bundler share are built once. */
function once(build: (project: Project) => Promise<void>): (project: Project) => Promise<void> {
  const built = new WeakMap<Project, Promise<void>>();
  return (project) => {
    const done = built.get(project) ?? build(project);
    built.set(project, done);
    return done;
  };
}

async function webpack(project: Project, output: string, config: object): Promise<void> {
  const whole = {
    mode: "production",
    experiments: { outputModule: true },
    output: { path: project.path(output), filename: "[name].mjs", module: true, publicPath: "auto" },
    ...config,
  };
  await project.write(
    "webpack.run.mjs",
    `import webpack from "webpack";
     webpack(${JSON.stringify(whole)}, (error, stats) => {
       if (error || stats.hasErrors()) { console.error(error ?? stats.toString("errors-only")); process.exitCode = 1; }
     });`,
  );
  await project.run(process.execPath, ["webpack.run.mjs"]);
}

const webpackPages = once((project) =>
  webpack(project, "webpack-pages", {
    target: "web",
    entry: { page: "./page.mjs", "worker-page": "./worker-page.mjs" },
  }),
);

const vitePages = once(async (project) => {
  await project.write("page.html", page("/page.mjs"));
  await project.write("worker-page.html", page("/worker-page.mjs"));
  await project.write(
    "vite.config.mjs",
    `export default {
       build: { outDir: "vite-pages", rollupOptions: { input: ["page.html", "worker-page.html"] } },
       worker: { format: "es" },
     };`,
  );
  await project.run(project.bin("vite"), ["build", "--logLevel", "warn"]);
});

export const ESBUILD: Row = {
  name: "esbuild",
  how: "pages in one file or in chunks, the worker from a file or a Blob; programs for Node",
  tools: ["esbuild"],
  checks: [
    {
      name: "esbuild, a program for Node",
      run: async (project) => {
        const outfile = "esbuild-node/program.mjs";
        await bundle(project, { entryPoints: ["program.mjs"], outfile, platform: "node" });
        await project.answers(process.execPath, [outfile]);
      },
    },
    {
      name: "esbuild, a page in one file, under a policy",
      without: withoutChromium,
      run: async (project) => {
        await bundle(project, { entryPoints: ["page.mjs"], outfile: "esbuild-page/page.js" });
        const { workers } = await openPage(project, "esbuild-page", {
          script: "/page.js",
          headers: BLOB_POLICY,
        });
        expectAll(workers, /^blob:/);
      },
    },
    {
      name: "esbuild, a page in chunks, with the worker's file beside it, under a policy",
      without: withoutChromium,
      run: async (project) => {
        await bundle(project, { entryPoints: ["page.mjs"], outdir: "esbuild-chunks", splitting: true });
        await copyFile(
          project.path("node_modules/glimt/dist/worker.js"),
          project.path("esbuild-chunks/worker.js"),
        );
        const { workers } = await openPage(project, "esbuild-chunks", {
          script: "/page.js",
          headers: POLICY,
        });
        expectAll(workers, /^http:/);
      },
    },
  ],
};

export const WEBPACK: Row = {
  name: "webpack 5",
  how: "pages, under a policy too, and in a worker of yours; programs for Node",
  tools: ["webpack"],
  checks: [
    {
      name: "webpack, a program for Node",
      run: async (project) => {
        const optimization = { minimize: false };
        await webpack(project, "webpack-node", { target: "node20", entry: "./program.mjs", optimization });
        await project.answers(process.execPath, ["webpack-node/main.mjs"]);
      },
    },
    {
      name: "webpack, a page, under a policy",
      without: withoutChromium,
      run: async (project) => {
        await webpackPages(project);
        const { workers } = await openPage(project, "webpack-pages", {
          script: "/page.mjs",
          headers: POLICY,
        });
        expectAll(workers, /^http:/);
      },
    },
    {
      name: "webpack, a worker of the page's own",
      without: withoutChromium,
      run: async (project) => {
        await webpackPages(project);
        await openPage(project, "webpack-pages", { script: "/worker-page.mjs" });
      },
    },
  ],
};

export const VITE: Row = {
  name: "vite",
  how: "pages: built, and by its development server; with shared memory and without; under a policy; in a worker of yours",
  tools: ["vite"],
  checks: [
    {
      name: "vite, a page on one thread, under a policy",
      without: withoutChromium,
      run: async (project) => {
        await vitePages(project);
        const { workers, backend } = await openPage(project, "vite-pages", {
          html: "page.html",
          headers: POLICY,
        });
        expectAll(workers, /^http:/);
        if (backend.threads !== 1) throw new Error(`it has ${backend.threads} threads without shared memory`);
      },
    },
    {
      name: "vite, the same page with threads, cross-origin isolated and under a policy",
      without: withoutChromium,
      run: async (project) => {
        await vitePages(project);
        const headers = { ...ISOLATED, ...POLICY };
        const { backend } = await openPage(project, "vite-pages", { html: "page.html", headers });
        const why = backend.limits.filter((limit) => /thread/.test(limit));
        if (why.length > 0) throw new Error(why.join("\n"));
      },
    },
    {
      name: "vite, a worker of the page's own",
      without: withoutChromium,
      run: async (project) => {
        await vitePages(project);
        await openPage(project, "vite-pages", { html: "worker-page.html" });
      },
    },
    {
      name: "vite, its development server",
      without: withoutChromium,
      run: async (project) => {
        await project.write("index.html", page("/page.mjs"));
        project.shareDemo("public");
        const port = await freePort();
        const args = ["--port", String(port), "--strictPort", "--host", "127.0.0.1"];
        await project.during(project.bin("vite"), args, () => visit(`http://127.0.0.1:${port}/`));
      },
    },
  ],
};

function expectAll(workers: readonly string[], pattern: RegExp): void {
  const others = workers.filter((address) => !pattern.test(address));
  if (others.length > 0) throw new Error(`workers started from ${others.join(", ")}`);
}
