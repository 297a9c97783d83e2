/** The example of the AI SDK runs, and pages with packages of others have TypeScript of the right types. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

/** As a project that has `ai` and glimt (its dist) installed. */
mkdirSync("build/test", { recursive: true });
const project = mkdtempSync(resolve("build/test/ai-project-"));
process.on("exit", () => rmSync(project, { recursive: true, force: true }));
mkdirSync(join(project, "node_modules"));
for (const name of ["ai", "zod"]) {
  symlinkSync(resolve("test/clients/node_modules", name), join(project, "node_modules", name));
}
symlinkSync(resolve("."), join(project, "node_modules/glimt"));

test("ai-sdk.mjs says what a picture says", () => {
  copyFileSync("examples/node/ai-sdk.mjs", join(project, "ai-sdk.mjs"));
  const files = ["examples/demo/checkpoint", "examples/demo/pictures/hello.png"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(project, "ai-sdk.mjs"), ...files], {
    encoding: "utf8",
  });
  assert.is(status, 0, stderr);
  assert.match(stdout, /^Hello world\n\d+ tokens read, \d+ written\n$/);
});

test("the pages' TypeScript has the right types", () => {
  // Of the other page what is a program by itself.
  const pages = ["docs/ai-sdk.md", "docs/structured-output.md"].map((page) => readFileSync(page, "utf8"));
  const blocks = Array.from(
    pages.join("").matchAll(/^```ts\n(import .*?)^```$/gms),
    ([, code]) => code as string,
  );
  assert.is(blocks.length, 4);
  for (const [index, code] of blocks.entries()) writeFileSync(join(project, `block-${index}.ts`), code);
  // glimt as it is written, for which no declarations need to be built.
  const paths = { glimt: [resolve("src/index.ts")], "glimt/ai": [resolve("src/ai/provider.ts")] };
  const config = {
    extends: resolve("tsconfig.json"),
    compilerOptions: { paths, typeRoots: [resolve("node_modules/@types")] },
    include: ["*.ts", resolve("src/wasm-modules.d.ts"), resolve("src/built-in.d.ts")],
    exclude: [],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  const { status, stdout } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", project], {
    encoding: "utf8",
  });
  assert.is(status, 0, stdout);
});

test.run();
