/** Whatever file of a checkpoint or an adapter a server stalls on: the signal ends the waiting, and so does time. */
import { readdirSync, readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, openProcessor } from "../../src/edge.ts";
import { failure } from "../checkpoint/fixtures.ts";
import { nameOf, requestedRange, serve, withServer } from "../checkpoint/server.ts";

const CHECKPOINT = "test/golden/data/glm4v-tiny";
const ADAPTER = "test/golden/data/lora/glm4v-tiny/language";

function filesOf(directory: string): Map<string, Uint8Array> {
  const names = readdirSync(directory).filter((name) => /\.(json|jinja|safetensors)$/.test(name));
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]));
}
const checkpoint = filesOf(CHECKPOINT);
const adapter = filesOf(ADAPTER);

/** Serves the checkpoint, and the adapter under /adapter/, but for what `stalls` says. */
const server =
  (stalls: (name: string, first: number) => boolean): RequestListener =>
  (request, response) => {
    if (stalls(nameOf(request), requestedRange(request)?.[0] ?? 0)) return;
    serve(request.url?.includes("/adapter/") ? adapter : checkpoint, request, response);
  };

const WEIGHTS = [...checkpoint.keys()].filter((name) => name.endsWith(".safetensors"));

/** Where the data of a safetensors file begins. */
function dataStart(file: Uint8Array): number {
  return 8 + Number(new DataView(file.slice().buffer).getBigUint64(0, true));
}

/** Where it stalls, by file and first byte. */
const STALLS: Record<string, (name: string, first: number) => boolean> = {
  ...Object.fromEntries(
    [
      "config.json",
      "generation_config.json",
      "preprocessor_config.json",
      "processor_config.json",
      "model.safetensors",
      "model.safetensors.index.json",
      "tokenizer.json",
      "tokenizer_config.json",
      "chat_template.jinja",
      "chat_template.json",
      ...WEIGHTS,
    ].map((file) => [file, (name: string) => name === file]),
  ),
  "the weights themselves": (name, first) =>
    WEIGHTS.includes(name) && first >= dataStart(checkpoint.get(name) as Uint8Array),
};

for (const [what, stalls] of Object.entries(STALLS)) {
  test(`a server that stalls on ${what}: loadModel ends with the signal, and by time`, () =>
    withServer(server(stalls), async (url) => {
      const control = new AbortController();
      setTimeout(() => control.abort(), 80);
      const start = performance.now();
      const error = await failure(() => loadModel(url, { backend: "reference", signal: control.signal }));
      assert.is(error.code, "ABORTED");
      assert.ok(performance.now() - start < 20_000);
      const late = await failure(() => loadModel(url, { backend: "reference", checkpointTimeout: 120 }));
      assert.is(late.code, "TIMED_OUT");
    }));
}

for (const what of ["config.json", "tokenizer.json", "chat_template.jinja"]) {
  test(`a server that stalls on ${what}: openProcessor ends with the signal, and by time`, () =>
    withServer(server(STALLS[what] as (typeof STALLS)[string]), async (url) => {
      const control = new AbortController();
      setTimeout(() => control.abort(), 50);
      assert.is((await failure(() => openProcessor(url, { signal: control.signal }))).code, "ABORTED");
      assert.is((await failure(() => openProcessor(url, { checkpointTimeout: 100 }))).code, "TIMED_OUT");
    }));
}

for (const what of ["adapter_config.json", "adapter_model.safetensors", "its matrices"]) {
  test(`a server that stalls on ${what} of an adapter: loadAdapter ends with the signal, the model stays`, () => {
    let stalled = true;
    const data = dataStart(adapter.get("adapter_model.safetensors") as Uint8Array);
    const stalls = (name: string, first: number) =>
      stalled &&
      (what === "its matrices" ? name === "adapter_model.safetensors" && first >= data : name === what);
    return withServer(server(stalls), async (url) => {
      const model = await loadModel(CHECKPOINT_FILES, { backend: "reference", checkpointTimeout: 1000 });
      const source = { name: "a", location: `${url}/adapter/` };
      const control = new AbortController();
      setTimeout(() => control.abort(), 50);
      assert.is((await failure(() => model.loadAdapter(source, { signal: control.signal }))).code, "ABORTED");
      assert.is((await failure(() => model.loadAdapter(source))).code, "TIMED_OUT");
      assert.equal(model.adapters, []);
      stalled = false;
      await model.loadAdapter(source);
      assert.is(model.adapters[0]?.name, "a");
      const unknown = { singal: control.signal } as unknown as { signal: AbortSignal };
      assert.is(
        (await failure(() => model.loadAdapter({ ...source, name: "b" }, unknown))).code,
        "OPTION_INVALID",
      );
      await model.dispose();
    });
  });
}

const CHECKPOINT_FILES = new Map(
  [...checkpoint].map(([name, bytes]) => [name, new Blob([bytes as Uint8Array<ArrayBuffer>])]),
);

test.run();
