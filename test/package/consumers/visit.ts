/** Opens a page in Chromium and reads what it found. */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { chromium } from "playwright-core";
import { ARGS, findChromium } from "../../browser/chromium.ts";
import { serveLoopback } from "../../browser/loopback.ts";
import { CHECKPOINT, expectAnswer, PICTURE } from "./programs.ts";
import { type Project, waitFor } from "./project.ts";

export const withoutChromium = () => (findChromium() === undefined ? "there is no Chromium" : undefined);

export interface Found {
  readonly text: string;
  readonly backend: { readonly threads?: number; readonly limits: readonly string[] };
  /** Addresses of the workers that the page and its workers started. */
  readonly workers: readonly string[];
}

/** @throws Error with what the page complained of, for any other end than the demo's answer */
export async function visit(address: string): Promise<Found> {
  await waitFor(address);
  const browser = await chromium.launch({ executablePath: findChromium() as string, args: ARGS });
  try {
    const tab = await browser.newPage();
    const complaints: string[] = [];
    const workers: string[] = [];
    tab.on("worker", (worker) => workers.push(worker.url()));
    tab.on("pageerror", (error) => complaints.push(String(error)));
    tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await tab.goto(address);
    await tab
      .waitForFunction(() => /^(found|error): /.test(document.title), undefined, { timeout: 60_000 })
      .catch((error) => {
        throw new Error(`${error.message}\n${complaints.join("\n")}`);
      });
    const title = await tab.title();
    if (!title.startsWith("found: ")) throw new Error([title, ...complaints].join("\n"));
    const found = JSON.parse(title.replace("found: ", "")) as Omit<Found, "workers">;
    expectAnswer(found.text);
    if (workers.length === 0) throw new Error("there was no worker");
    return { ...found, workers };
  } finally {
    await browser.close();
  }
}

export const page = (script: string) =>
  `<!doctype html><title>…</title><link rel="icon" href="data:,"><script type="module" src="${script}"></script>`;

/**
 * Serves a built page with the checkpoint beside it, and reads its answer.
 *
 * @param script of a page that has nothing else; or `html`, a page of the folder
 */
export async function openPage(
  project: Project,
  folder: string,
  {
    script = "",
    html,
    headers = {},
  }: { script?: string; html?: string; headers?: Readonly<Record<string, string>> },
): Promise<Found> {
  const served = {
    "/checkpoint/": CHECKPOINT,
    "/pictures/": dirname(PICTURE),
    "/": project.path(folder),
  };
  const text = html ? await readFile(project.path(folder, html), "utf8") : page(script);
  const server = await serveLoopback(served, { "/": text }, headers);
  try {
    return await visit(`${server.origin}/`);
  } finally {
    server.close();
  }
}
