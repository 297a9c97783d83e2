/** The README and docs/ as a reader meets them: their TypeScript, their links, and what they promise to list. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LOAD_OPTION_NAMES } from "../../src/api/load-options.ts";
import { PROCESSOR_OPTION_NAMES } from "../../src/api/open-processor.ts";
import { PROCESS_OPTION_NAMES } from "../../src/prompt/process-options.ts";
import { GENERATE_OPTION_NAMES } from "../../src/serving/generation-options.ts";
import { docExamples, docPages, typeErrors } from "./doc-examples.ts";

const PAGES = [...docPages(), "CHANGELOG.md", "SECURITY.md"];

/** A page without its code, which may show a link. */
function proseOf(page: string): string {
  return readFileSync(page, "utf8").replace(/^```[\s\S]*?^```$|`[^`\n]*`/gm, "");
}

interface Link {
  readonly link: string;
  readonly file: string;
  /** In that file; "" for none. */
  readonly heading: string;
  /** Shown in the page: from the repository, so that the package need not hold it. */
  readonly isPicture: boolean;
}

/** Links of a page to others of the repository. */
function linksOf(page: string): Link[] {
  const found = proseOf(page).matchAll(/(!)?\[[^\]]*\]\((?!\w+:)([^)\s]+)\)/g);
  return [...found].map(([, picture, link = ""]) => {
    const [path = "", heading = ""] = link.split("#");
    const file = path === "" ? page : normalize(join(dirname(page), path));
    return { link, file, heading, isPicture: picture !== undefined };
  });
}

/** As web pages of repositories name headings. */
function headingsOf(page: string): string[] {
  const text = readFileSync(page, "utf8").replace(/^```[\s\S]*?^```$/gm, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("the TypeScript of the README and of docs/ is right by the package's types", () => {
  const own = docExamples().filter(({ packages }) => packages.length === 0);
  assert.ok(own.some(({ at }) => at.startsWith("README.md")));
  assert.is(typeErrors(own), "");
});

test("links lead to files of the package, and to headings that are there", () => {
  const { files } = JSON.parse(readFileSync("package.json", "utf8")) as { files: string[] };
  const isPublished = (file: string) => files.some((name) => file === name || file.startsWith(`${name}/`));
  const broken = PAGES.flatMap((page) =>
    linksOf(page)
      .filter(
        ({ file, heading, isPicture }) =>
          !existsSync(file) ||
          !(isPicture || isPublished(file)) ||
          (heading !== "" && !headingsOf(file).includes(decodeURIComponent(heading))),
      )
      .map(({ link }) => `${page}: ${link}`),
  );
  assert.equal(broken, []);
});

test("each page of docs/ is reached from their index, and the index from the README", () => {
  const index = "docs/README.md";
  assert.ok(linksOf("README.md").some(({ file }) => file === index));
  const reached = new Set(linksOf(index).map(({ file }) => file));
  assert.equal(
    docPages().filter((page) => page.startsWith("docs/") && page !== index && !reached.has(page)),
    [],
  );
});

test("docs/options.md names every option", () => {
  const page = readFileSync("docs/options.md", "utf8");
  const named = new Set([...page.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  const options = [
    ...LOAD_OPTION_NAMES,
    ...PROCESSOR_OPTION_NAMES,
    ...PROCESS_OPTION_NAMES,
    ...GENERATE_OPTION_NAMES,
  ];
  assert.equal(
    options.filter((name) => !named.has(name)),
    [],
  );
});

test("the changelog has the package's version first, each release with its date and what it is about", () => {
  const text = readFileSync("CHANGELOG.md", "utf8");
  const [unreleased, ...releases] = text.split(/^## /m).slice(1);
  assert.match(unreleased as string, /^\[Unreleased\]\n/);
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  assert.ok(releases[0]?.startsWith(`[${version}] `), releases[0]?.split("\n")[0]);
  for (const release of releases) assert.match(release, /^\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d\n\n[A-Z]/);
  const order = releases.map((release) =>
    release
      .match(/^\[(\d+)\.(\d+)\.(\d+)/)
      ?.slice(1)
      .map(Number),
  );
  const weight = ([major = 0, minor = 0, patch = 0]: number[] = []) => (major * 1000 + minor) * 1000 + patch;
  const weights = order.map(weight);
  assert.equal(
    weights,
    [...new Set(weights)].sort((a, b) => b - a),
  );
});

test.run();
