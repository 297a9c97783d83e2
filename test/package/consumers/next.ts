/** Next.js with both of its compilers: a page, and an API route. */
import { join } from "node:path";
import { findChromium } from "../../browser/chromium.ts";
import { CHECKPOINT, expectAnswer, PAGE_SCRIPT, PICTURE, SHARED_FILES } from "./programs.ts";
import { freePort, type Project, waitFor } from "./project.ts";
import type { Row, RowCheck } from "./row.ts";
import { visit } from "./visit.ts";

async function writeApp(project: Project): Promise<void> {
  const inApp = (file: string, text: string) => project.write(join("next", file), text);
  const root = JSON.stringify(project.folder);
  await inApp("package.json", JSON.stringify({ name: "app", private: true, type: "module" }));
  await inApp(
    "next.config.mjs",
    `export default { turbopack: { root: ${root} }, outputFileTracingRoot: ${root} };`,
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
  for (const file of ["read.mjs", "tell.mjs"]) await inApp(`app/${file}`, SHARED_FILES[file] as string);
  await inApp("app/page.mjs", PAGE_SCRIPT);
  await inApp(
    "app/api/route.js",
    `import { read } from "../read.mjs";
     export const dynamic = "force-dynamic";
     export const GET = async () =>
       Response.json(await read(${JSON.stringify(CHECKPOINT)}, ${JSON.stringify(PICTURE)}));`,
  );
  project.shareDemo("next/public");
}

const compiler = (name: "turbopack" | "webpack"): RowCheck => ({
  name: `Next.js with ${name}, an API route and a page`,
  run: async (project) => {
    await writeApp(project);
    const next = project.bin("next");
    await project.run(next, ["build", `--${name}`, "next"]);
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    await project.during(next, ["start", "-p", String(port), "-H", "127.0.0.1", "next"], async () => {
      await waitFor(origin);
      const response = await fetch(`${origin}/api`);
      if (!response.ok) throw new Error(`the API route answered ${response.status}`);
      expectAnswer(((await response.json()) as { text: string }).text);
      if (findChromium() !== undefined) await visit(`${origin}/`);
    });
  },
});

export const NEXT: Row = {
  name: "Next.js",
  how: "pages and API routes, with Turbopack and with webpack",
  tools: ["next"],
  checks: [compiler("turbopack"), compiler("webpack")],
};
