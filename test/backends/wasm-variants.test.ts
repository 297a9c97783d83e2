/** The list of module variants: what each needs, that the build makes it, and that it is loaded when it is wanted. */
import * as esbuild from "esbuild";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { chooseVariant, VARIANTS } from "../../src/backends/wasm/variants.ts";
import { VARIANTS as BUILT } from "../../wasm/kernels/build.mjs";
import { failure } from "./wasm-sample.ts";

test("what is built is what can be chosen", () => {
  assert.equal(VARIANTS.map(({ name }) => name).sort(), Object.keys(BUILT).sort());
});

test("a variant's module is valid where its probe is, and far larger", async () => {
  for (const { name, probe, load } of VARIANTS) {
    const bytes = await load();
    assert.is(WebAssembly.validate(probe), WebAssembly.validate(bytes), name);
    assert.ok(probe.length < 100 && bytes.length > 10_000, name);
  }
});

test("the best variant that the host runs is chosen, for one thread and for several", async () => {
  const { validate } = WebAssembly;
  const host = (runs: readonly string[]) => {
    WebAssembly.validate = (bytes) =>
      VARIANTS.some(({ name, probe }) => probe === bytes && runs.includes(name));
  };
  const chosen = (threads: boolean) => {
    const choice = chooseVariant(threads);
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
    assert.is(Object.keys(metafile.inputs).filter(isModule).length, VARIANTS.length, entry);
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
