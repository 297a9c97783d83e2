/** The TypeScript of the README and of docs/, block by block, as its readers would compile it. */
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";

export interface DocExample {
  /** The page, and the line on which the block begins. */
  readonly at: string;
  readonly code: string;
  /** Packages that it imports beside glimt's own entries and Node's. */
  readonly packages: readonly string[];
}

/** Pages that the package has. */
export function docPages(): string[] {
  const docs = readdirSync("docs").filter((name) => name.endsWith(".md"));
  return ["README.md", ...docs.sort().map((name) => `docs/${name}`)];
}

export function docExamples(): DocExample[] {
  return docPages().flatMap((page) => {
    const text = readFileSync(page, "utf8");
    return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(({ 1: code = "", index }) => ({
      at: `${page}:${text.slice(0, index).split("\n").length + 1}`,
      code,
      packages: [...code.matchAll(/from "([^"]+)"/g)]
        .map(([, name = ""]) => name)
        .filter((name) => !/^(glimt(\/|$)|node:)/.test(name)),
    }));
  });
}

/** What pages leave to their readers: a model that was loaded, messages, tensors of their own. */
const GIVEN = `
import type { GridThw, Message, Model, PositionIds } from "glimt";
declare global {
  const model: Model;
  const messages: readonly Message[];
  const tools: readonly object[];
  const videoEmbeddings: Float32Array;
  const videoGridThw: readonly GridThw[];
  const promptEmbeddings: Float32Array;
  const positionIds: PositionIds;
}
`;

/** Entries of the package, from their sources. */
const ENTRIES = {
  glimt: "src/index.ts",
  "glimt/ai": "src/ai/provider.ts",
  "glimt/batch": "src/batch.ts",
  "glimt/cuda": "src/cuda.ts",
  "glimt/edge": "src/edge.ts",
  "glimt/ocr": "src/ocr.ts",
  "glimt/server": "src/server-node.ts",
};

/**
 * What the compiler says of the examples, by page and line; empty: nothing.
 *
 * @param modules a folder of the packages that they import beside glimt
 */
export function typeErrors(examples: readonly DocExample[], modules?: string): string {
  mkdirSync("build", { recursive: true });
  const folder = mkdtempSync("build/doc-examples-");
  try {
    if (modules !== undefined) symlinkSync(resolve(modules), join(folder, "node_modules"));
    writeFileSync(join(folder, "given.ts"), GIVEN);
    for (const [index, { code }] of examples.entries()) {
      // A module, whatever it imports.
      writeFileSync(join(folder, `${index}.ts`), `${code}export {};\n`);
    }
    const paths = Object.fromEntries(
      Object.entries(ENTRIES).map(([entry, source]) => [entry, [resolve(source)]]),
    );
    const config = {
      extends: resolve("tsconfig.json"),
      compilerOptions: {
        paths,
        typeRoots: [resolve("node_modules/@types")],
        lib: ["ES2023", "ESNext.Disposable", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
        // A page names what a call gives, for its readers.
        noUnusedLocals: false,
        noUnusedParameters: false,
      },
      include: [".", resolve("src/built-in.d.ts"), resolve("src/wasm-modules.d.ts")],
      exclude: ["node_modules"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const compiler = "node_modules/typescript/bin/tsc";
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [compiler, "-p", join(folder, "tsconfig.json"), "--pretty", "false"],
      { encoding: "utf8" },
    );
    // From the file of a block and its line to the page's.
    return `${stdout}${stderr}`.replace(/^\S*?(\d+)\.ts\((\d+),/gm, (place, index, line) => {
      const example = examples[Number(index)];
      if (!example) return place;
      const [page, first] = example.at.split(":");
      return `${page}:${Number(first) + Number(line) - 1} (`;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
