/** The list of module variants: what each needs, that the build makes it, and that it is loaded when it is wanted. */
import { execFileSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { forOneThread } from "../../src/backends/wasm/one-thread.ts";
import { chooseVariant, VARIANTS } from "../../src/backends/wasm/variants.ts";
import { VARIANTS as BUILT } from "../../wasm/kernels/build.mjs";
import { failure } from "./wasm-sample.ts";

const relaxed = VARIANTS.find(({ name }) => name === "relaxed") as (typeof VARIANTS)[number];

test("what is built is what can be chosen", () => {
  const kinds = (threads: boolean) =>
    VARIANTS.filter((one) => one.threads === threads).map(({ kind }) => kind);
  for (const threads of [true, false]) assert.equal(kinds(threads).sort(), Object.keys(BUILT).sort());
});

test("a variant's module is valid where its probe is, and far larger", async () => {
  for (const { name, probe, threads, load } of VARIANTS) {
    const bytes = threads ? await load() : forOneThread(await load());
    assert.is(WebAssembly.validate(probe), WebAssembly.validate(bytes), name);
    assert.ok(probe.length < 100 && bytes.length > 10_000, name);
  }
});

test("a module names no file but itself: its bytes are the same whatever process linked it", async () => {
  for (const { kind, threads, load } of VARIANTS) {
    if (!threads) continue;
    const names = new TextDecoder("latin1").decode(await load()).match(/kernels\.[\w.]*wasm/g);
    assert.equal(names, [`kernels.${kind}.wasm`]);
  }
});

test("the module for one thread has memory of its own, and is otherwise the one for several", async () => {
  const shared = await relaxed.load();
  const own = forOneThread(shared);
  assert.is(
    shared.reduce((count, byte, at) => count + Number(byte !== own[at]), 0),
    1,
  );
  assert.throws(() => forOneThread(relaxed.probe), /does not import its memory/);
  if (!WebAssembly.validate(relaxed.probe)) return;
  const module = await WebAssembly.compile(own);
  assert.equal(WebAssembly.Module.imports(module), [{ module: "env", name: "memory", kind: "memory" }]);
  const instantiated = (shared: boolean) => {
    const memory = new WebAssembly.Memory({ initial: 256, maximum: 65536, shared });
    return WebAssembly.instantiate(module, { env: { memory } });
  };
  await instantiated(false);
  const error = await instantiated(true).catch((error) => error);
  assert.instance(error, WebAssembly.LinkError);
});

test("the best variant that the host runs is chosen, for one thread and for several", async () => {
  const { validate } = WebAssembly;
  const host = (runs: readonly string[]) => {
    WebAssembly.validate = (bytes) =>
      VARIANTS.some(({ name, probe }) => probe === bytes && runs.includes(name));
  };
  const chosen = (threads: boolean) => {
    const choice = chooseVariant({ threads });
    return "variant" in choice ? choice.variant.name : choice.reason;
  };
  try {
    host(["relaxed", "simd"]);
    assert.equal([false, true].map(chosen), ["relaxed", "relaxed-threads"]);
    assert.match(JSON.stringify(await wasmBackend.probe()), /WebAssembly relaxed SIMD/);
    host(["simd"]);
    assert.equal([false, true].map(chosen), ["simd", "simd-threads"]);
    assert.match(JSON.stringify(await wasmBackend.probe()), /WebAssembly SIMD128/);
    host([]);
    assert.match(JSON.stringify(await wasmBackend.probe()), /lacks SIMD/);
    const { code, message } = await failure(() => wasmBackend.open());
    assert.is(code, "BACKEND_UNAVAILABLE");
    assert.match(message, /lacks SIMD/);
  } finally {
    WebAssembly.validate = validate;
  }
});

test("a variant can be asked for, with or without threads, and is refused where the host can not run it", async () => {
  for (const wasmVariant of [
    "simd",
    ...(WebAssembly.validate(relaxed.probe) ? ["relaxed" as const] : []),
  ] as const) {
    const engine = await wasmBackend.open({ wasmVariant });
    assert.is(engine.report.variant, wasmVariant);
    assert.is(engine.report.threads, 1);
    engine.dispose();
  }
  assert.match(
    (await failure(() => wasmBackend.open({ wasmVariant: "avx" as never }))).message,
    /wasmVariant is "avx", expected relaxed, simd, relaxed64/,
  );
  const { validate } = WebAssembly;
  WebAssembly.validate = (bytes) => bytes !== relaxed.probe && validate(bytes);
  try {
    const { code, message } = await failure(() => wasmBackend.open({ wasmVariant: "relaxed" }));
    assert.is(code, "OPTION_INVALID");
    assert.match(message, /wasmVariant is "relaxed", but this host's WebAssembly lacks relaxed SIMD/);
    const { report } = await wasmBackend.open();
    assert.is(report.description, "WebAssembly SIMD128, 1 thread");
    assert.ok(report.limits.includes("This host's WebAssembly lacks relaxed SIMD"));
    const probe = await wasmBackend.probe();
    assert.equal(probe.ok && probe.limits, report.limits);
  } finally {
    WebAssembly.validate = validate;
  }
});

/** V8 sums products of bytes wrongly there, without an error. */
test("a host without AVX runs the variant without relaxed SIMD, and says why", async () => {
  const program = `
    const { loadModel } = await import(${JSON.stringify(pathToFileURL("dist/index.js").href)});
    const model = await loadModel("test/golden/data/glm46v-flash-tiny", { dtype: "q8", threads: 1, backend: "wasm" });
    const question = [{ role: "user", content: "Hello there, what is this?" }];
    const { tokenIds } = await model.complete(question, { maxTokens: 6, temperature: 0, ignoreEos: true });
    const refused = await loadModel("test/golden/data/glm46v-flash-tiny", { backend: "wasm", wasmVariant: "relaxed" })
      .then(() => "loaded", ({ message }) => message);
    console.log(JSON.stringify({ tokenIds, limits: model.backend.limits, refused }));
    await model.dispose();`;
  const found = (...flags: readonly string[]) => {
    const args = [...flags, "--input-type=module", "-e", program];
    return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  };
  // Node 20 has relaxed SIMD behind a flag.
  const [major = 0] = process.versions.node.split(".").map(Number);
  const relaxed = major < 22 ? ["--experimental-wasm-relaxed-simd"] : [];
  const usual = found(...relaxed);
  assert.equal([usual.limits, usual.refused], [[], "loaded"]);
  if (process.arch !== "x64") return;
  const { tokenIds, limits, refused } = found(...relaxed, "--no-enable-avx");
  assert.equal(tokenIds, usual.tokenIds);
  assert.match(limits.join(), /sums wrongly with relaxed SIMD \(V8 on a processor without AVX\)/);
  assert.match(
    refused,
    /wasmVariant is "relaxed", but this host's WebAssembly sums wrongly with relaxed SIMD/,
  );
});

test("a Worker of Cloudflare's has none of the modules as text, which it could not compile", async () => {
  const { metafile } = await esbuild.build({
    entryPoints: ["dist/workerd.js"],
    bundle: true,
    format: "esm",
    loader: { ".wasm": "copy" },
    outdir: "build/test/workerd",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  assert.equal(
    Object.keys(metafile.inputs).filter((path) => /kernel/.test(path)),
    ["dist/kernels.relaxed-single.wasm"],
  );
});

test("the package loads a module when an engine is opened, not before", async () => {
  for (const entry of ["dist/edge.js", "dist/index.js"]) {
    const { metafile } = await esbuild.build({
      entryPoints: [entry],
      bundle: true,
      format: "esm",
      platform: "node",
      write: false,
      metafile: true,
      logLevel: "silent",
    });
    const isModule = (path: string) => /kernels\.[\w-]+-[A-Z0-9]+\.js$/.test(path);
    assert.is(Object.keys(metafile.inputs).filter(isModule).length, Object.keys(BUILT).length, entry);
    const seen = new Set<string>();
    const visit = (path: string) => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const { path: imported, kind } of metafile.inputs[path]?.imports ?? []) {
        if (kind === "import-statement") visit(imported);
      }
    };
    visit(entry);
    assert.equal([...seen].filter(isModule), [], entry);
  }
});

test.run();
