/** Models of the Hub by their names: what is asked, what is found, and what is told of what is not there. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listModels, openFiles, pullModel, removeModel } from "../../src/node-files.ts";
import { directoryInMemory, f32, failure, safetensors } from "./fixtures.ts";
import { blobsOf, FOLDER, inPlace, MODEL, NEEDED, repository, text, weights } from "./hub-place.ts";
import { COMMIT, gitHash, LATER, sha256, TOKEN, withHub } from "./hub-server.ts";

test("a model is pulled into Hugging Face's layout, and only what loading needs", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, cacheDir, options }) => {
    const pulled = await pullModel(MODEL, options);
    assert.equal([...pulled.files].sort(), NEEDED);
    assert.equal([pulled.repository, pulled.revision, pulled.commit], [MODEL, "main", COMMIT]);
    const folder = join(cacheDir, FOLDER);
    assert.is(readFileSync(join(folder, "refs/main"), "utf8"), COMMIT);
    const snapshot = join(folder, "snapshots", COMMIT);
    assert.equal(readdirSync(snapshot).sort(), NEEDED);
    const { files } = hub.repositories.get(MODEL)!;
    for (const name of NEEDED) {
      const bytes = files.get(name)!;
      const hash = name === "model.safetensors" ? sha256(bytes) : gitHash(bytes);
      assert.is(readlinkSync(join(snapshot, name)), join("..", "..", "blobs", hash));
      assert.equal(new Uint8Array(readFileSync(join(snapshot, name))), bytes);
    }
    assert.is(blobsOf(cacheDir).length, NEEDED.length);
    assert.ok(existsSync(join(cacheDir, "CACHEDIR.TAG")));
    assert.equal(readdirSync(join(cacheDir, ".locks", FOLDER)), []);
    hub.requests.length = 0;
    await pullModel(MODEL, options);
    assert.equal(
      hub.requests.map(({ at }) => at),
      ["api"],
    );
  });
});

const names = (location: string) => location.replace("HUB", "zai-org/GLM-OCR");

for (const given of ["HUB", "hf://HUB", "hf:HUB", "HUB@main", `HUB@${COMMIT}`, "HUB@v1.0", "HUB@refs/pr/1"]) {
  test(`${given} is read from the Hub, as small files and parts`, async () => {
    const revisions = new Map([
      ["v1.0", COMMIT],
      ["refs/pr/1", COMMIT],
    ]);
    await inPlace({ [MODEL]: repository({ revisions }) }, async ({ cacheDir, options }) => {
      const files = await openFiles(names(given), options);
      assert.equal(await files.readAll("config.json"), text({ model_type: "glm_ocr" }));
      assert.is(await files.size("model.safetensors"), weights.length);
      const into = new Uint8Array(100);
      await files.readInto("model.safetensors", 50, into);
      assert.equal(into, weights.slice(50, 150));
      assert.is(await files.readAll("generation_config.json"), null);
      // Weights are not downloaded before they are brought.
      assert.equal(readdirSync(join(cacheDir, FOLDER, "snapshots", COMMIT)), ["config.json"]);
      await files.bring?.(["model.safetensors"]);
      await files.readInto("model.safetensors", 50, into);
      assert.equal(into, weights.slice(50, 150));
    });
  });
}

test("pages of a model are its name; the address of its files is read as it is", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    for (const page of [
      "",
      "/",
      "/tree/main",
      "/blob/main/config.json",
      `/tree/${COMMIT}`,
      "?library=transformers",
    ]) {
      const files = await openFiles(`${hub.endpoint}/${MODEL}${page}`, options);
      assert.ok(files.location.startsWith(MODEL), files.location);
      assert.ok(await files.readAll("config.json"));
    }
    const plain = await openFiles(`${hub.endpoint}/${MODEL}/resolve/main`, options);
    assert.is(plain.location, `${hub.endpoint}/${MODEL}/resolve/main`);
    assert.ok(await plain.readAll("config.json"));
  });
});

test("the name of a GGUF file is a file of the repository: it alone is pulled, and openFiles says it", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, cacheDir, options }) => {
    for (const given of [
      `${MODEL}/GLM-OCR-Q8_0.gguf`,
      `${MODEL}:GLM-OCR-Q8_0.gguf`,
      `${MODEL}@main/GLM-OCR-Q8_0.gguf`,
      `${hub.endpoint}/${MODEL}/resolve/main/GLM-OCR-Q8_0.gguf?download=true`,
    ]) {
      assert.is((await openFiles(given, options)).named, "GLM-OCR-Q8_0.gguf");
      assert.equal((await pullModel(given, options)).files, ["GLM-OCR-Q8_0.gguf"]);
    }
    assert.equal(readdirSync(join(cacheDir, FOLDER, "snapshots", COMMIT)), ["GLM-OCR-Q8_0.gguf"]);
  });
});

test("a directory goes before a model of the same name", async () => {
  const root = mkdtempSync(join(tmpdir(), "glimt-hub-"));
  const before = process.cwd();
  try {
    mkdirSync(join(root, MODEL), { recursive: true });
    writeFileSync(join(root, MODEL, "config.json"), "{}");
    process.chdir(root);
    assert.is((await openFiles(MODEL)).location, MODEL);
  } finally {
    process.chdir(before);
    rmSync(root, { recursive: true });
  }
});

test("shards are those that the index names, plain names in the repository", async () => {
  const files = new Map<string, Uint8Array>([
    ["config.json", text({})],
    ["model-1.safetensors", safetensors({ a: f32([2], [1, 2]) })],
    ["model-2.safetensors", safetensors({ b: f32([2], [3, 4]) })],
    ["other.safetensors", safetensors({ c: f32([2], [5, 6]) })],
    [
      "model.safetensors.index.json",
      text({ weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } }),
    ],
  ]);
  await inPlace({ [MODEL]: repository({ files }) }, async ({ hub, options }) => {
    const pulled = await pullModel(MODEL, options);
    assert.equal([...pulled.files].sort(), [
      "config.json",
      "model-1.safetensors",
      "model-2.safetensors",
      "model.safetensors.index.json",
    ]);
    const index = text({ weight_map: { a: "../../x.safetensors" } });
    hub.repositories.set(
      "a/b",
      repository({ files: new Map([...files, ["model.safetensors.index.json", index]]) }),
    );
    assert.match((await failure(() => pullModel("a/b", options))).message, "no safetensors file name");
  });
});

test("a token goes to the Hub alone, from an option, the environment or its file; never into a message", async () => {
  await inPlace({ [MODEL]: repository({ private: true }) }, async ({ hub, cacheDir, options }) => {
    const error = await failure(() => pullModel(MODEL, options));
    assert.is(error.code, "CHECKPOINT_NOT_FOUND");
    assert.match(error.message, /no such model, or it is private: give a token .*HF_TOKEN/);
    const wrong = await failure(() =>
      pullModel(MODEL, { hub: { ...options.hub, token: "hf_wrong_s3cret" } }),
    );
    assert.match(wrong.message, "may not read it");
    assert.not.match(JSON.stringify([wrong.message, wrong.stack, String(wrong.cause)]), "s3cret");
    hub.requests.length = 0;
    await pullModel(MODEL, { hub: { ...options.hub, token: ` ${TOKEN}\n` } });
    const sent = (at: string) => new Set(hub.requests.filter((r) => r.at === at).map((r) => r.authorization));
    assert.equal([...sent("api")], [`Bearer ${TOKEN}`]);
    assert.equal([...sent("resolve")], [`Bearer ${TOKEN}`]);
    assert.equal([...sent("cdn")], [null]);
    const { cacheDir: _, token: __, ...plain } = options.hub!;
    for (const [name, value] of [
      ["HF_TOKEN", TOKEN],
      ["HF_TOKEN_PATH", join(cacheDir, "token")],
    ] as const) {
      writeFileSync(join(cacheDir, "token"), `${TOKEN}\n`);
      const fresh = { HF_HOME: join(cacheDir, "home", name), [name]: value, HF_ENDPOINT: hub.endpoint };
      await withEnvironment(fresh, () => pullModel(MODEL));
      assert.ok(existsSync(join(cacheDir, "home", name, "hub", FOLDER)));
      assert.ok(plain.endpoint);
    }
    for (const token of ["a b", "x\ny", "é"]) {
      const odd = await failure(() => pullModel(MODEL, { hub: { ...options.hub, token } }));
      assert.is(odd.code, "OPTION_INVALID");
      assert.not.match(odd.message, token);
    }
  });
});

async function withEnvironment<T>(variables: Record<string, string>, use: () => Promise<T>): Promise<T> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    return await use();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

test("of a gated model one reads what to do", async () => {
  await inPlace({ [MODEL]: repository({ gated: true }) }, async ({ hub, options }) => {
    const none = await failure(() => pullModel(MODEL, options));
    assert.match(
      none.message,
      `access to it must be asked for at ${hub.endpoint}/${MODEL}; then give a token`,
    );
    const refused = await failure(() => pullModel(MODEL, { hub: { ...options.hub, token: "hf_other" } }));
    assert.match(refused.message, "may not read it");
    await pullModel(MODEL, { hub: { ...options.hub, token: TOKEN } });
  });
});

test("what is not there is said: model, revision, weights; and what answers is no Hub", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    assert.match((await failure(() => openFiles("zai-org/none", options))).message, "./zai-org/none");
    assert.match((await failure(() => openFiles(`${MODEL}@v9`, options))).message, "no revision v9");
    hub.repositories.set("a/b", repository({ files: new Map([["pytorch_model.bin", new Uint8Array(5)]]) }));
    assert.match((await failure(() => pullModel("a/b", options))).message, "pickled");
    const answers = ["<html>", "[]", "{}", '{"sha":"../..","siblings":[]}', `{"sha":"${COMMIT}"}`];
    for (const body of answers) {
      hub.misbehave = (_, response) => {
        response.writeHead(200).end(body);
        return true;
      };
      const error = await failure(() => openFiles("org/other", options));
      assert.is(error.code, "CHECKPOINT_INVALID", body);
      assert.match(error.message, "does not answer as the Hub does");
    }
    const sized = (entry: object) =>
      JSON.stringify({ sha: COMMIT, siblings: [{ rfilename: "config.json", ...entry }] });
    for (const entry of [
      { size: -1, blobId: COMMIT },
      { size: 2, blobId: "../../../etc/passwd" },
      { size: 2, lfs: { sha256: "../x", size: 2 } },
      { size: 1e300, lfs: { sha256: "0".repeat(64), size: 1e300 } },
    ]) {
      hub.misbehave = (_, response) => {
        response.writeHead(200).end(sized(entry));
        return true;
      };
      assert.is((await failure(() => openFiles("org/other", options))).code, "CHECKPOINT_INVALID");
    }
    // A size that no disk has: refused before anything is taken.
    hub.misbehave = ({ at }, response) => {
      if (at !== "api") return false;
      const large = { lfs: { sha256: "0".repeat(64), size: 2 ** 50 }, size: 1 };
      response.writeHead(200).end(sized(large));
      return true;
    };
    const error = await failure(async () => (await openFiles("org/other", options)).bring?.(["config.json"]));
    assert.is(error.code, "CACHE_FAILED");
    assert.match(error.message, /1125899\.9 GB do not fit/);
  });
});

test("names that lead out of the cache are no files, and no locations", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ cacheDir, options }) => {
    const files = await openFiles(MODEL, options);
    for (const name of ["../../escaped.json", "/etc/passwd", "a/../../x.json"]) {
      assert.is(await files.size(name), null);
      assert.is((await failure(() => files.bring?.([name]))).code, "CHECKPOINT_NOT_FOUND");
    }
    assert.not.ok(existsSync(join(cacheDir, "escaped.json")));
    for (const id of ["../..", "a/..", `${MODEL}@../../x`, `${MODEL}@-x`, "a--b/c", `${MODEL}/../x.gguf`]) {
      assert.is((await failure(() => pullModel(id, options))).code, "OPTION_INVALID", id);
      assert.is(
        (await failure(() => removeModel(id, options.hub ? { hub: options.hub } : {}))).code,
        "OPTION_INVALID",
      );
    }
  });
});

test("offline the cache answers alone; what it lacks is said to be so", async () => {
  await inPlace(
    { [MODEL]: repository({ revisions: new Map([["v1", COMMIT]]) }) },
    async ({ hub, options }) => {
      const offline = { hub: { ...options.hub, offline: true } };
      const nothing = await failure(() => openFiles(MODEL, offline));
      assert.match(nothing.message, "does not have it, and nothing is asked of the Hub offline");
      const files = await openFiles(MODEL, options);
      await files.readAll("config.json");
      hub.requests.length = 0;
      const cached = await openFiles(MODEL, offline);
      assert.ok(await cached.readAll("config.json"));
      assert.is(await cached.size("model.safetensors"), null);
      assert.match(cached.absence?.("model.safetensors") ?? "", "nothing is asked of the Hub offline");
      assert.match((await failure(() => openFiles(`${MODEL}@v1`, offline))).message, "offline");
      await pullModel(MODEL, options);
      hub.requests.length = 0;
      assert.is((await pullModel(MODEL, offline)).commit, COMMIT);
      await withEnvironment({ HF_HUB_OFFLINE: "1" }, () => openFiles(MODEL, options));
      assert.equal(hub.requests, []);
    },
  );
});

test("without the Hub what is in the cache still loads; a commit that is here asks nothing", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    await pullModel(MODEL, options);
    const files = await openFiles(`${MODEL}@${COMMIT}`, options);
    await files.readAll("generation_config.json");
    hub.requests.length = 0;
    const pinned = await openFiles(`${MODEL}@${COMMIT}`, options);
    await pinned.bring?.(["model.safetensors"]);
    assert.ok(await pinned.readAll("config.json"));
    assert.is(await pinned.readAll("generation_config.json"), null);
    assert.equal(hub.requests, []);
    hub.misbehave = (_, response) => {
      response.writeHead(500).end();
      return true;
    };
    assert.ok(await (await openFiles(MODEL, options)).readAll("config.json"));
    // A revision that was taken away is no fault in passing.
    hub.misbehave = null;
    hub.repositories.set(MODEL, repository({ commit: LATER }));
    const later = (await openFiles(MODEL, options)) as Awaited<ReturnType<typeof openFiles>> & {
      commit: string;
    };
    assert.is(later.commit, LATER);
  });
  const endpoint = await withHub({}, async (hub) => hub.endpoint);
  const gone = { hub: { endpoint, cacheDir: join(tmpdir(), "glimt-none"), token: false } } as const;
  assert.match((await failure(() => openFiles(MODEL, gone))).message, "refuses the connection");
});

test("a mirror that tells no sizes is asked for each file", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, cacheDir, options }) => {
    hub.tellsFiles = false;
    await pullModel(MODEL, options);
    assert.ok(blobsOf(cacheDir).includes(sha256(weights)));
    const heads = hub.requests.filter(({ method }) => method === "HEAD");
    assert.equal([...new Set(heads.map(({ at }) => at))], ["resolve"]);
  });
});

test("what is in the cache is listed, and removed as a whole or by revision", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, cacheDir, options }) => {
    const cache = { hub: options.hub };
    assert.equal(await listModels(cache), []);
    await pullModel(MODEL, options);
    const changed = new Map([...repository().files, ["config.json", text({ model_type: "other" })]]);
    hub.repositories.set(MODEL, repository({ commit: LATER, files: changed }));
    await pullModel(MODEL, options);
    hub.repositories.set("a/b", repository());
    await pullModel("a/b", options);
    const models = await listModels(cache);
    assert.equal(
      models.map(({ repository }) => repository),
      ["a/b", MODEL],
    );
    assert.equal(
      models[1]?.revisions.map(({ commit, refs, files }) => [commit, refs, files]),
      [
        [COMMIT, [], 4],
        [LATER, ["main"], 4],
      ],
    );
    const small = text({ model_type: "glm_ocr" }).length;
    assert.is(await removeModel(`${MODEL}@${COMMIT}`, cache), small);
    assert.is((await listModels(cache))[1]?.revisions.length, 1);
    assert.ok(blobsOf(cacheDir).includes(sha256(weights)));
    assert.is(await removeModel("a/b", cache), models[0]?.bytes);
    assert.is(await removeModel(`${MODEL}@main`, cache), (models[1]?.bytes ?? 0) - small);
    assert.equal(await listModels(cache), []);
    assert.is((await failure(() => removeModel(MODEL, cache))).code, "CHECKPOINT_NOT_FOUND");
  });
});

test("where links can not be made the files themselves are in the snapshot", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ cacheDir, options }) => {
    await withEnvironment({ HF_HUB_DISABLE_SYMLINKS: "1" }, () => pullModel(MODEL, options));
    const snapshot = join(cacheDir, FOLDER, "snapshots", COMMIT);
    assert.equal(new Uint8Array(readFileSync(join(snapshot, "model.safetensors"))), weights);
    assert.throws(() => readlinkSync(join(snapshot, "model.safetensors")));
    await pullModel(MODEL, options);
    assert.ok((await listModels({ hub: options.hub }))[0]!.bytes >= weights.length);
  });
});

test("a cache that can not be written says which, and what to set", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ cacheDir, options }) => {
    writeFileSync(join(cacheDir, "..", "file"), "");
    const hub = { ...options.hub, cacheDir: join(cacheDir, "..", "file", "hub") };
    const error = await failure(() => pullModel(MODEL, { hub }));
    assert.is(error.code, "CACHE_FAILED");
    assert.match(error.message, /hub\.cacheDir or HF_HUB_CACHE/);
  });
});

test("a demo checkpoint under a name is the same files", async () => {
  const demo = directoryInMemory("examples/demo/checkpoint");
  const files = new Map(
    [...demo].map(([name, bytes]) => [
      name,
      typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes,
    ]),
  );
  await inPlace({ "glimt/demo": repository({ files }) }, async ({ options }) => {
    const opened = await openFiles("glimt/demo", options);
    await opened.bring?.(["model.safetensors"]);
    const into = new Uint8Array(files.get("model.safetensors")!.length);
    await opened.readInto("model.safetensors", 0, into);
    assert.is(sha256(into), sha256(files.get("model.safetensors")!));
  });
});

test.run();
