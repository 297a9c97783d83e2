/** All rows, and how the README shows them. */
import { readFile } from "node:fs/promises";
import { ESBUILD, VITE, WEBPACK } from "./bundlers.ts";
import { BUN, DENO } from "./deno-bun.ts";
import { NEXT } from "./next.ts";
import { NODE } from "./node.ts";
import { TOOLS } from "./project.ts";
import type { Row } from "./row.ts";
import { WORKERD } from "./workerd.ts";

/** Pages are opened in Chromium. */
export const ROWS: readonly Row[] = [NODE, DENO, BUN, WORKERD, VITE, WEBPACK, ESBUILD, NEXT];

const MARKED = /(<!-- matrix -->\n)[\s\S]*?(<!-- \/matrix -->)/;

/** The README with the table of the rows, and of the versions that they are checked with. */
export async function withTable(readme: string): Promise<string> {
  if (!MARKED.test(readme)) throw new Error("README.md has no <!-- matrix --> and <!-- /matrix -->");
  const { dependencies, optionalDependencies } = JSON.parse(await readFile(TOOLS, "utf8"));
  const { devDependencies } = JSON.parse(await readFile("package.json", "utf8"));
  const pinned: Record<string, string> = { ...devDependencies, ...dependencies, ...optionalDependencies };
  const version = (tool: string) => (pinned[tool] ?? "").replace(/^.*@|^\^/, "");
  const lines = ROWS.map(({ name, how, tools }) => `| ${name} | ${how} | ${tools.map(version).join(", ")} |`);
  const table = ["| | | checked with |", "|---|---|---|", ...lines].join("\n");
  return readme.replace(MARKED, (_, start, end) => `${start}${table}\n${end}`);
}
