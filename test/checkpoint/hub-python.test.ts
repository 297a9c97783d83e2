/** Python's huggingface_hub reads our cache, and we read Python's: judged by the package itself where it is installed. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listModels, openFiles, pullModel, removeModel } from "../../src/node-files.ts";
import { f32, safetensors } from "./fixtures.ts";
import { COMMIT, sha256, withHub } from "./hub-server.ts";

const PYTHON = ["python3", "python"].map((name) => process.env.GLIMT_PYTHON ?? name);
const python = PYTHON.find((name) => spawnSync(name, ["-c", "import huggingface_hub"]).status === 0);
if (python === undefined) {
  console.log("skipped: no Python with huggingface_hub (pip install huggingface_hub, or set GLIMT_PYTHON)");
}
const withPython = python === undefined ? test.skip : test;

const MODEL = "zai-org/GLM-OCR";
const weights = safetensors({
  w: f32(
    [5000],
    Array.from({ length: 5000 }, (_, i) => i),
  ),
});
const files = new Map<string, Uint8Array>([
  ["config.json", new TextEncoder().encode('{"a": 1}')],
  ["model.safetensors", weights],
]);

/** Beside this process, whose server it may ask. @returns what it prints, as JSON */
function run(code: string, variables: Record<string, string>): Promise<unknown> {
  const env = { ...process.env, HF_HUB_DISABLE_XET: "1", HF_HUB_DISABLE_PROGRESS_BARS: "1", ...variables };
  const child = spawn(python!, ["-c", `import json\nfrom huggingface_hub import *\n${code}`], { env });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (piece) => out.push(piece));
  child.stderr.on("data", (piece) => err.push(piece));
  return new Promise((resolve, reject) => {
    child.on("close", (status) => {
      if (status === 0) resolve(JSON.parse(Buffer.concat(out).toString()));
      else reject(new Error(Buffer.concat(err).toString()));
    });
  });
}

async function inCache(use: (cacheDir: string, endpoint: string) => Promise<void>): Promise<void> {
  const cacheDir = mkdtempSync(join(tmpdir(), "glimt-hub-python-"));
  try {
    await withHub({ [MODEL]: { files, commit: COMMIT } }, ({ endpoint }) => use(cacheDir, endpoint));
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

const SCAN = `
found = scan_cache_dir()
print(json.dumps({
  "warnings": [str(w) for w in found.warnings],
  "size": found.size_on_disk,
  "repos": [[r.repo_id, r.repo_type, r.nb_files, [[v.commit_hash, sorted(v.refs)] for v in r.revisions]] for r in found.repos],
}))`;

withPython("Python finds, reads and counts what we pulled, without the Hub", () =>
  inCache(async (cacheDir, endpoint) => {
    await pullModel(MODEL, { hub: { cacheDir, endpoint, token: false } });
    const env = { HF_HUB_CACHE: cacheDir };
    const folder = await run(`print(json.dumps(snapshot_download("${MODEL}", local_files_only=True)))`, {
      ...env,
      HF_HUB_OFFLINE: "1",
    });
    assert.is(sha256(readFileSync(join(String(folder), "model.safetensors"))), sha256(weights));
    const size = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    assert.equal(await run(SCAN, env), {
      warnings: [],
      size,
      repos: [[MODEL, "model", 2, [[COMMIT, ["main"]]]]],
    });
    const absent = await run(
      `print(json.dumps(str(try_to_load_from_cache("${MODEL}", "adapter_model.safetensors"))))`,
      env,
    );
    assert.match(String(absent), "object");
  }),
);

withPython(
  "we read, count and remove what Python downloaded, from the same server, and download nothing again",
  () =>
    inCache(async (cacheDir, endpoint) => {
      const env = { HF_HUB_CACHE: cacheDir, HF_ENDPOINT: endpoint };
      await run(
        `print(json.dumps([hf_hub_download("${MODEL}", name) for name in ["config.json", "model.safetensors"]]))`,
        env,
      );
      const hub = { cacheDir, endpoint, token: false } as const;
      const offline = await openFiles(MODEL, { hub: { ...hub, offline: true } });
      assert.is(await offline.size("model.safetensors"), weights.length);
      const seen: number[] = [];
      const pulled = await pullModel(MODEL, {
        hub,
        onDownload: ({ totalBytes }) => seen.push(totalBytes),
      });
      assert.equal([pulled.commit, seen], [COMMIT, []]);
      const [model] = await listModels({ hub });
      assert.is(model?.bytes, weights.length + 8);
      await removeModel(MODEL, { hub });
      assert.equal(((await run(SCAN, env)) as { repos: unknown[] }).repos, []);
    }),
);

test.run();
