/** src/ keeps the import rule, and the check finds what breaks it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { importGraph, violations } from "./rules.ts";

test("src keeps the import rule", async () => {
  const graph = await importGraph(join(process.cwd(), "src"));
  assert.ok(graph.size > 0);
  assert.is(violations(graph).join("\n"), "");
});

/** A source tree that is in order; each case plants one import in it. */
const CLEAN: Readonly<Record<string, string>> = {
  "errors.ts": "export class GlimtError {}",
  "tensor/dtype.ts": 'export { GlimtError } from "../errors.ts";',
  "graph/ops.ts": 'import type { DType } from "../tensor/dtype.ts"; export type Op = DType;',
  "checkpoint/disk.node.ts": 'export { openSync } from "node:fs";',
  "backends/backend.ts": "export const backend = 1;",
  "backends/wasm/backend.ts": 'export { backend } from "../backend.ts";',
  "backends/reference/backend.ts": 'export { backend } from "../backend.ts";',
  "runtime/generate.ts": 'export { backend } from "../backends/backend.ts";',
  "conformance/judge.ts": 'export { backend } from "../backends/reference/backend.ts";',
  "edge.ts": 'export { backend } from "./backends/wasm/backend.ts"; export * from "./runtime/generate.ts";',
  "index.ts": 'export * from "./edge.ts"; export * from "./checkpoint/disk.node.ts";',
  "cli/main.ts": 'export * from "../index.ts"; export * from "node:os";',
};

const PLANTED: readonly [name: string, file: string, source: string, expected: RegExp][] = [
  [
    "later room",
    "tensor/dtype.ts",
    'export * from "../graph/ops.ts";',
    /^tensor\/dtype.ts -> graph\/ops.ts: a room/,
  ],
  [
    "later room, type only",
    "tensor/dtype.ts",
    'export type { Op } from "../graph/ops.ts";',
    /a room may import/,
  ],
  [
    "later room, inline type",
    "tensor/dtype.ts",
    'import { type Op } from "../graph/ops.ts";',
    /a room may import/,
  ],
  [
    "later room, lazily",
    "tensor/dtype.ts",
    'export const f = () => import("../graph/ops.ts");',
    /a room may/,
  ],
  ["entry from a room", "runtime/generate.ts", 'export * from "../index.ts";', /a room may import/],
  ["ground on a room", "errors.ts", 'export * from "./tensor/dtype.ts";', /a room may import/],
  [
    "backend from runtime",
    "runtime/generate.ts",
    'export * from "../backends/wasm/backend.ts";',
    /concrete backend/,
  ],
  [
    "backend from backend",
    "backends/wasm/backend.ts",
    'export * from "../reference/backend.ts";',
    /concrete/,
  ],
  [
    "backend from conformance",
    "conformance/run.ts",
    'export * from "../backends/wasm/backend.ts";',
    /concrete/,
  ],
  ["node in a room", "graph/ops.ts", 'export * from "node:fs";', /^graph\/ops.ts -> node:fs: only entries/],
  [
    "node without prefix",
    "graph/ops.ts",
    'export * from "fs/promises";',
    /^graph\/ops.ts -> fs\/promises: only/,
  ],
  [
    "node file from a room",
    "runtime/generate.ts",
    'export * from "../checkpoint/disk.node.ts";',
    /only entries/,
  ],
  ["node in edge", "edge.ts", 'export * from "node:fs";', /^edge.ts -> node:fs: edge.ts must not reach Node/],
  [
    "node reached by edge",
    "edge.ts",
    'export * from "./checkpoint/disk.node.ts";',
    /edge.ts must not reach Node/,
  ],
  ["unknown folder", "utils/things.ts", "export {};", /^utils\/things.ts: belongs to no room/],
  ["loose file", "things.ts", "export {};", /^things.ts: belongs to no room/],
];

test("a clean tree has no violation", async () => {
  assert.equal(await violationsOf(CLEAN), []);
});

for (const [name, file, source, expected] of PLANTED) {
  test(`planted: ${name}`, async () => {
    const found = await violationsOf({ ...CLEAN, [file]: source });
    assert.ok(found.length > 0, "nothing found");
    assert.match(found[0]!, expected);
  });
}

async function violationsOf(files: Readonly<Record<string, string>>): Promise<string[]> {
  const src = mkdtempSync(join(tmpdir(), "glimt-rooms-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(src, path)), { recursive: true });
      writeFileSync(join(src, path), text);
    }
    return violations(await importGraph(src));
  } finally {
    rmSync(src, { recursive: true });
  }
}

test.run();
