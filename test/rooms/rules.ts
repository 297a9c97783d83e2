/** The import rule of src/: which room may use which, who may name a concrete backend, who may touch Node. */
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { join, relative, resolve } from "node:path";
import * as esbuild from "esbuild";

/** Every room may import from itself and from those before it. */
export const ROOMS = [
  "tensor",
  "json",
  "http",
  "config",
  "graph",
  "program",
  "models",
  "checkpoint",
  "compiler",
  "workers",
  "text",
  "grammar",
  "media",
  "processor",
  "mrope",
  "prompt",
  "views",
  "backends",
  "runtime",
  "serving",
  "conformance",
  "api",
  "remote",
  "measure",
  "verify",
  "protocols",
  "documents",
  "server",
  "batch",
  "ai",
];

/** Files of src/ itself that every room may import. */
const GROUND = ["errors.ts", "event-loop.ts", "given.ts", "wasm-code.ts"];
/** Files of src/ that are composed of all rooms. */
const ENTRY =
  /^(index|edge|cuda|batch|server|server-node|ocr|ocr-edge|edge-(engine|checkpoints|files)|node-(engine|files)|workerd|(kernel-|model-)?worker|package-files|public-api)\.ts$|^cli\//;
const NEVER_IN_NODE = ["edge.ts", "workerd.ts", "server.ts"];
/** The judge of every backend is the reference backend, so the conformance harness names that one. */
const JUDGES = "conformance/";
/** A group is of whatever backend it is given. */
const CONCRETE_BACKEND = /^backends\/(?!group\/)([^/]+)\//;

/** Importing file -> what it imports; paths relative to src/, packages and built-in modules by name. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Reads the imports of every TypeScript file under `src`, those of types alone included. */
export async function importGraph(src: string): Promise<ImportGraph> {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" });
  const { metafile } = await esbuild.build({
    absWorkingDir: src,
    entryPoints: files.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts")),
    bundle: true,
    format: "esm",
    platform: "node",
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    plugins: [importsOnly(src)],
    outdir: join(src, "unused"),
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  const inputs = Object.entries(metafile.inputs);
  return new Map(inputs.map(([file, { imports }]) => [file, imports.map(({ path }) => path)]));
}

/** Names each import without following it, and keeps the imports of types, which esbuild would drop. */
function importsOnly(src: string): esbuild.Plugin {
  return {
    name: "imports-only",
    setup(build) {
      build.onResolve({ filter: /.*/ }, ({ path, resolveDir, kind }) => {
        if (kind === "entry-point") return undefined;
        return {
          path: path.startsWith(".") ? relative(src, resolve(resolveDir, path)) : path,
          external: true,
        };
      });
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, "utf8");
        return {
          contents: text.replace(/^(import) type (?=[\w{*])|^(export) type (?=[{*])/gm, "$1$2 "),
          loader: "ts",
        };
      });
    },
  };
}

/** Everything the rule forbids, one line each; empty when the house is in order. */
export function violations(graph: ImportGraph): string[] {
  const found = [...graph].flatMap(([file, imports]) =>
    imports.flatMap((imported) => {
      const reason = whyForbidden(file, imported);
      return reason === undefined ? [] : [`${file} -> ${imported}: ${reason}`];
    }),
  );
  for (const file of graph.keys()) {
    if (rankOf(file) === undefined) found.push(`${file}: belongs to no room`);
  }
  return [...found, ...NEVER_IN_NODE.flatMap((entry) => nodeReachedFrom(entry, graph))];
}

function whyForbidden(file: string, imported: string): string | undefined {
  const isEntry = ENTRY.test(file);
  if (isNode(imported)) {
    return isEntry || isNodeFile(file) ? undefined : "only entries and *.node.ts files may use Node";
  }
  if (!imported.endsWith(".ts")) return undefined;
  const [from, to] = [rankOf(file), rankOf(imported)];
  if (from === undefined || to === undefined) return undefined;
  if (to > from) return "a room may import only itself and the rooms before it";
  const backend = CONCRETE_BACKEND.exec(imported)?.[1];
  const mayName = isEntry || (file.startsWith(JUDGES) && backend === "reference");
  if (backend !== undefined && !mayName && CONCRETE_BACKEND.exec(file)?.[1] !== backend) {
    return "only entries may name a concrete backend";
  }
  return undefined;
}

/** Place in the order of imports; undefined for a file that belongs nowhere. */
function rankOf(file: string): number | undefined {
  if (ENTRY.test(file)) return ROOMS.length;
  if (GROUND.includes(file)) return -1;
  const room = ROOMS.indexOf(file.split("/", 1)[0] ?? "");
  return room === -1 || !file.includes("/") ? undefined : room;
}

/** The chains of imports by which a browser entry would reach Node. */
function nodeReachedFrom(entry: string, graph: ImportGraph): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (file: string, chain: readonly string[]): void => {
    for (const imported of graph.get(file) ?? []) {
      if (isNode(imported)) found.push(`${[...chain, imported].join(" -> ")}: ${entry} must not reach Node`);
      if (!graph.has(imported) || seen.has(imported)) continue;
      seen.add(imported);
      visit(imported, [...chain, imported]);
    }
  };
  visit(entry, [entry]);
  return found;
}

const isNodeFile = (file: string): boolean => file.endsWith(".node.ts");
const isNode = (imported: string): boolean => isNodeFile(imported) || isBuiltin(imported);
