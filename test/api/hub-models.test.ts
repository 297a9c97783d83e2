/** Whole models, GGUF pairs and adapters of the Hub answer as those in a folder, and load again without it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadOptions, loadModel, type Message } from "../../src/index.ts";
import { failure } from "../checkpoint/fixtures.ts";
import { COMMIT, type TestHub, withHub } from "../checkpoint/hub-server.ts";
import { goldenCase, goldenDataDir } from "../golden/load.ts";

const NAME = "glm_ocr-tiny";
const GGUF = join(goldenDataDir, "gguf");
const LORA = join(goldenDataDir, "lora", NAME, "language");
const exact = { backend: "wasm", threads: 1, media: "huggingface", dtype: "f32" } as const;

function filesOf(directory: string): Map<string, Uint8Array> {
  const names = readdirSync(directory).filter((name) => statSync(join(directory, name)).isFile());
  return new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(directory, name)))]));
}

async function tokensOf(location: string, options: LoadOptions = {}): Promise<readonly number[]> {
  const model = await loadModel(location, { ...exact, ...options });
  try {
    const { messages } = goldenCase(NAME, "one-image");
    const adapters = options.adapters?.map(({ name }) => name) ?? [];
    return (await model.complete(messages as Message[], { maxTokens: 8, adapters })).tokenIds;
  } finally {
    await model.dispose();
  }
}

async function inCache(
  directories: Readonly<Record<string, string>>,
  use: (hub: TestHub, options: NonNullable<LoadOptions["hub"]>) => Promise<void>,
): Promise<void> {
  const cacheDir = mkdtempSync(join(tmpdir(), "glimt-hub-models-"));
  const repositories = Object.entries(directories).map(([name, directory]) => [
    name,
    { files: filesOf(directory), commit: COMMIT },
  ]);
  try {
    await withHub(Object.fromEntries(repositories), (hub) =>
      use(hub, { cacheDir, endpoint: hub.endpoint, token: false }),
    );
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

test("a checkpoint and an adapter, by their names", () =>
  inCache({ "org/model": join(goldenDataDir, NAME), "org/lora": LORA }, async (requests, hub) => {
    const seen: number[] = [];
    const onDownload: LoadOptions["onDownload"] = ({ downloadedBytes }) => seen.push(downloadedBytes);
    const plain = await tokensOf(join(goldenDataDir, NAME));
    assert.equal(await tokensOf("org/model", { hub, onDownload }), plain);
    assert.ok(seen.length > 0);
    const adapted = await tokensOf(join(goldenDataDir, NAME), { adapters: [{ name: "a", location: LORA }] });
    const adapters = [{ name: "a", location: "org/lora" }];
    assert.equal(await tokensOf("org/model", { hub, adapters }), adapted);
    requests.requests.length = 0;
    assert.equal(await tokensOf("org/model", { hub: { ...hub, offline: true }, adapters }), adapted);
    assert.equal(requests.requests, []);
  }));

test("a GGUF in several files with its tower, by its name and by an address", () =>
  inCache({ "org/gguf": GGUF }, async (requests, hub) => {
    const first = `${NAME}-00001-of-00002.gguf`;
    const tower = `mmproj-${NAME}.gguf`;
    const expected = await tokensOf(join(GGUF, first), { mmproj: join(GGUF, tower) });
    const mmproj = `org/gguf/${tower}`;
    assert.equal(await tokensOf(`org/gguf/${first}`, { hub, mmproj }), expected);
    const blobs = readdirSync(join(hub.cacheDir!, "models--org--gguf/blobs"));
    assert.is(blobs.length, 3);
    const offline = { ...hub, offline: true };
    requests.requests.length = 0;
    assert.equal(await tokensOf(`org/gguf:${first}`, { hub: offline, mmproj }), expected);
    assert.equal(requests.requests, []);
    const files = `${hub.endpoint}/org/gguf/resolve/${COMMIT}`;
    const page = await tokensOf(`${files}/${first}`, { hub, mmproj: join(GGUF, tower) });
    assert.equal(page, expected);
    // Of several models in a repository one must be named.
    const many = await failure(() => loadModel("org/gguf", { hub }));
    assert.match(many.message, "GGUF models");
  }));

test("a model that does not fit costs no weights", () =>
  inCache({ "org/model": join(goldenDataDir, NAME) }, async (requests, hub) => {
    const { files } = requests.repositories.get("org/model")!;
    const config = JSON.parse(new TextDecoder().decode(files.get("config.json")));
    config.text_config.intermediate_size += 32;
    const changed = new Map([...files, ["config.json", new TextEncoder().encode(JSON.stringify(config))]]);
    requests.repositories.set("org/model", { files: changed, commit: COMMIT });
    assert.is((await failure(() => loadModel("org/model", { ...exact, hub }))).code, "WEIGHTS_INVALID");
    const bytes = requests.requests.flatMap(({ at, range }) =>
      at === "cdn" && range ? [range[1] - range[0] + 1] : [],
    );
    assert.ok(Math.max(...bytes) < 100_000, String(bytes));
  }));

test.run();
