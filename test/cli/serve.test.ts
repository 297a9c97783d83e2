/** `glimt serve` as a process: what it says, what it is asked with, and how it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { serveCommand } from "../../src/cli/serve.ts";
import { nameOf } from "../../src/cli/server-flags.ts";
import { pictureUrl, readingOf } from "../server/demo.ts";
import { complaint } from "./command.ts";

interface Serving {
  readonly child: ChildProcessWithoutNullStreams;
  readonly url: string;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

async function serve(flags: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Serving> {
  const args = ["serve", "examples/demo/checkpoint", "--port", "0", "--backend", "wasm", ...flags];
  const child = spawn(process.execPath, ["dist/cli.js", ...args], { env: { ...process.env, ...env } });
  const output = { stdout: "", stderr: "" };
  child.stderr.on("data", (chunk) => {
    output.stderr += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      output.stdout += chunk;
      const found = /served at (http:\S+)\/v1/.exec(output.stdout)?.[1];
      if (found && output.stdout.includes("curl ")) resolve(found);
    });
    ended.then(() => reject(new Error(output.stderr)));
  });
  return { child, url, output, ended };
}

const ask = (url: string, fields: object = {}, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ messages: readingOf(pictureUrl()), ...fields }),
  });

test("SIGTERM: what runs is finished, what comes is refused, the end is 0", async () => {
  const { child, url, output, ended } = await serve(["--served-model-name", "reader"]);
  assert.match(output.stdout, /^reader is served at http:\/\/127\.0\.0\.1:\d+\/v1\ncurl http/);
  const response = await ask(url, { stream: true, ignore_eos: true, max_tokens: 60 });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  child.kill("SIGTERM");
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  assert.match(text, /"finish_reason":"length"[\s\S]*\[DONE\]\n\n$/);
  assert.is(await ended, 0);
  const request = output.stderr.split("\n").find((line) => line.includes('"event":"request"'));
  assert.is(JSON.parse(request as string).model, "reader");
});

test("a second signal does not wait", async () => {
  const { child, url, ended } = await serve(["--close-timeout", "600000"]);
  const response = await ask(url, { stream: true, ignore_eos: true });
  const finishing = new Promise<void>((resolve) => {
    child.stderr.on("data", (chunk) => String(chunk).includes("Finishing") && resolve());
  });
  child.kill("SIGTERM");
  await finishing;
  child.kill("SIGTERM");
  assert.is(await ended, 143);
  await response.body?.cancel().catch(() => undefined);
});

test("a key of the environment, and one of the command line", async () => {
  const { child, url, output, ended } = await serve(["--api-key", "one"], { GLIMT_API_KEY: "two, three" });
  const statusWith = async (key: string) => {
    const response = await ask(url, { max_tokens: 1 }, { authorization: `Bearer ${key}` });
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(
    [await statusWith("one"), await statusWith("two"), await statusWith("three"), await statusWith("four")],
    [200, 200, 200, 401],
  );
  child.kill("SIGTERM");
  assert.is(await ended, 0);
  assert.not.match(output.stdout + output.stderr, /\b(two|three|four)\b/);
});

const complaintOf = (...flags: string[]) => complaint(serveCommand(), ["nowhere", ...flags]);

test("a port that is taken is told before anything is loaded", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  assert.match(
    await complaintOf("--port", String(port)),
    /^127\.0\.0\.1:\d+ can not be listened at: .*EADDRINUSE/,
  );
  other.close();
  assert.match(await complaintOf("--host", "192.0.2.1"), /^192\.0\.2\.1:8000 can not be listened at/);
});

test("wrong flags are told before anything is loaded, by their names", async () => {
  assert.match(await complaintOf("--port", "70000"), /^--port is 70000/);
  assert.match(await complaintOf("--api-key", ""), /^--api-key must be a list of texts/);
  assert.match(await complaintOf("--concurrency", "0"), /^--concurrency is 0/);
  const folder = ["--port", "0", "--allow-adapter-loading", "no/such/folder"];
  assert.match(await complaintOf(...folder), /--allow-adapter-loading: there is no folder no\/such\/folder/);
});

test("a model is called after the last part of where it lies", () => {
  const names = [
    "zai-org/GLM-OCR",
    "zai-org/GLM-OCR@main",
    "/models/GLM-OCR/",
    "https://h.org/m/GLM-OCR/?a=b",
  ];
  for (const name of names) assert.is(nameOf(name), "GLM-OCR");
  assert.is(nameOf("glm-q4.gguf"), "glm-q4");
});

test.run();
