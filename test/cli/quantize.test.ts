/** `glimt quantize` as a user types it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { directoryInMemory } from "../checkpoint/fixtures.ts";
import { serve, withServer } from "../checkpoint/server.ts";

const MODEL = "test/golden/data/glm4v-tiny";
const folder = mkdtempSync(join(tmpdir(), "glimt-quantize-cli-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function glimt(...args: string[]) {
  return spawnSync(process.execPath, ["dist/cli.js", ...args], { encoding: "utf8" });
}

test("writes a checkpoint that inspect and run read without a format", () => {
  const out = join(folder, "q4");
  const written = glimt("quantize", MODEL, out, "--dtype", "q4", "--keep", "vision");
  assert.is(written.status, 0, written.stderr);
  assert.match(written.stdout, /-> q4 .*, quantised/);
  assert.match(written.stdout, new RegExp(`${out}: .* of weights`));
  const inspected = JSON.parse(glimt("inspect", out, "--json").stdout);
  assert.ok(inspected.stored.bytes.q4 > 0 && inspected.stored.bytes.q8 > 0);
  assert.ok(inspected.stored.tensors.every(({ loss }: { loss: string }) => loss === "none"));
  const asked = ["What?", "--max-tokens", "4", "--json", "--backend", "wasm"];
  const found = JSON.parse(glimt("run", out, ...asked).stdout);
  const expected = JSON.parse(glimt("run", MODEL, ...asked, "--dtype", "q4").stdout);
  assert.equal(found.tokenIds, expected.tokenIds);
  assert.equal(found.topLogits, expected.topLogits);
});

test("says as JSON what was written, and an error as one", () => {
  const out = join(folder, "json");
  const written = glimt(
    "quantize",
    MODEL,
    out,
    "--dtype",
    "q8",
    "--vision-dtype",
    "q8",
    "--for",
    "vllm",
    "--json",
  );
  const { location, files, bytes, conversions, notes } = JSON.parse(written.stdout);
  assert.is(location, out);
  assert.equal(files, [{ name: "model.safetensors", bytes }]);
  assert.ok(conversions.some(({ dtype }: { dtype: string }) => dtype === "q8"));
  assert.equal(notes, []);
  const again = glimt("quantize", MODEL, out, "--dtype", "q8", "--json");
  assert.is(again.status, 1);
  assert.is(JSON.parse(again.stdout).error.code, "OPTION_INVALID");
  assert.is(glimt("quantize", MODEL, out, "--dtype", "q8", "--force").status, 0);
  assert.match(glimt("quantize", MODEL, join(folder, "none")).stderr, /--dtype/);
  assert.match(glimt("quantize", MODEL, join(folder, "none"), "--dtype", "q5").stderr, /q8, q4/);
});

test("Ctrl-C ends it with the status that shells expect, and leaves nothing", async () => {
  const files = directoryInMemory(MODEL) as ReadonlyMap<string, Uint8Array>;
  const before = readdirSync(folder);
  const isBegun = () => readdirSync(folder).some((name) => name.startsWith(".cut.partial-"));
  const listener: RequestListener = (request, response) => {
    // Of weights that are read, only the beginning comes: the rest is waited for.
    if (isBegun()) response.writeHead(206).write("");
    else serve(files, request, response);
  };
  await withServer(listener, async (url) => {
    const args = ["dist/cli.js", "quantize", `${url}/`, join(folder, "cut"), "--dtype", "q8"];
    const child = spawn(process.execPath, args);
    const closed = once(child, "close");
    while (!isBegun()) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGINT");
    const [status] = await closed;
    assert.is(status, 130);
  });
  assert.equal(readdirSync(folder), before);
});

test.run();
