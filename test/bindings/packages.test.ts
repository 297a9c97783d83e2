/** The npm packages of dist and addon, installed from tarballs into an empty app; the emulator stands in for the addon. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";

const run = promisify(execFile);
const app = mkdtempSync(join(tmpdir(), "glimt-app-"));
test.after(() => rmSync(app, { recursive: true }));

/** From bindings/package.mjs, whose tools are not for bundling. */
type PackAll = (
  variant: "emulator",
  outDir: string,
) => Promise<{ name: string; path: string; bytes: number; unpackedBytes: number }[]>;

/** What an app sees: the addon by its package, the loader's view of it, the options of the GPU entry. */
const SCRIPT = `
import { createRequire } from "node:module";
import { loadModel } from "glimt";
import { probeCuda } from "glimt/cuda";
const require = createRequire(import.meta.url);
const addon = require("@glimt/cuda13-linux-x64-gnu");
const codes = [];
for (const backend of ["cuda", "auto"]) {
  await loadModel("/nowhere", { backend }).catch(({ code }) => codes.push(code));
}
console.log(JSON.stringify({ kind: addon.kind, device: addon.probe(0).name, probe: await probeCuda(), codes }));
`;

test("an app that installs the tarballs finds the addon", async () => {
  const { packAll } = (await import(join(process.cwd(), "bindings/package.mjs"))) as { packAll: PackAll };
  const packed = await packAll("emulator", app);
  assert.equal(
    packed.map(({ name }) => name),
    ["glimt", "@glimt/cuda13-linux-x64-gnu"],
  );
  for (const { name, bytes, unpackedBytes } of packed) {
    console.log(
      `${name}: ${(bytes / 1024).toFixed()} KiB packed, ${(unpackedBytes / 1024).toFixed()} KiB unpacked`,
    );
  }
  writeFileSync(join(app, "package.json"), '{ "private": true, "type": "module" }');
  writeFileSync(join(app, "app.js"), SCRIPT);
  const tarballs = packed.map(({ path }) => path);
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...tarballs], { cwd: app });
  const { stdout } = await run(process.execPath, ["app.js"], { cwd: app });
  const found = JSON.parse(stdout);
  assert.is(found.kind, "emulator");
  assert.match(found.device, /emulator/);
  // The loader has found it as well, and takes no emulator.
  assert.match(
    found.probe.reason,
    /package @glimt\/cuda13-linux-x64-gnu: .*glimt-cuda13.*is the CPU emulator/,
  );
  assert.equal(found.codes, ["BACKEND_UNAVAILABLE", "CHECKPOINT_NOT_FOUND"]);
});

test.run();
