/** The WebAssembly engine's memory: its limit, what is left of it, what is given back, and how long use leaves it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { chooseVariant, VARIANTS } from "../../src/backends/wasm/variants.ts";
import { fc } from "../property.ts";
import { chosenKernels, deepProgram, failure, uploadAll } from "./wasm-sample.ts";

const MIB = 2 ** 20;

test("a limit of memory holds for all that is allocated, and says so", async () => {
  const engine = await wasmBackend.open({ maxMemory: 40 * MIB });
  assert.ok((engine.freeBytes as number) > 37 * MIB);
  const kept = engine.allocate("f32", 1, 4 * MIB);
  const { code, message } = await failure(() => engine.allocate("f32", 1, 6 * MIB));
  assert.is(code, "OUT_OF_MEMORY");
  assert.match(message, /25165824 bytes for a tensor f32\[1, 6291456\]: 2\d\.?\d* MiB of 40 MiB are left/);
  assert.match(message, /raise maxMemory/);
  engine.allocate("f32", 1, 5 * MIB);
  engine.free(kept);
  engine.allocate("f32", 1, 4 * MIB);
  engine.dispose();
});

test("what is to be loaded must fit before any of it is read", async () => {
  const demand = { loaded: 100 * MIB, request: 2 ** 40, least: 0 };
  const { code, message } = await failure(() => wasmBackend.open({ maxMemory: 90 * MIB, demand }));
  assert.is(code, "OUT_OF_MEMORY");
  assert.match(message, /for the weights and KV cache: .* \(maxMemory\)/);
  (await wasmBackend.open({ maxMemory: 110 * MIB, demand })).dispose();
  // A model that could answer nothing is of no use.
  const asking = { ...demand, least: 20 * MIB };
  const useless = await failure(() => wasmBackend.open({ maxMemory: 110 * MIB, demand: asking }));
  assert.is(useless.code, "OUT_OF_MEMORY");
  assert.match(useless.message, /125829120 bytes for .* the smallest request: .* of 110 MiB are left/);
});

test("64-bit memory is taken when 4 GiB are too few, and an error names it where the host has none", async () => {
  const { validate } = WebAssembly;
  const host = (runs: readonly string[]) => {
    WebAssembly.validate = (bytes) =>
      VARIANTS.some(({ kind, probe }) => probe === bytes && runs.includes(kind));
  };
  const chosen = (bytes: number) => {
    const choice = chooseVariant({ threads: false, bytes });
    return "variant" in choice ? choice.variant.kind : choice.reason;
  };
  try {
    host(["relaxed", "simd", "relaxed64"]);
    assert.equal([0, 2 ** 32, 2 ** 32 + 1, 2 ** 40].map(chosen), [
      "relaxed",
      "relaxed",
      "relaxed64",
      "relaxed64",
    ]);
    host(["relaxed", "simd"]);
    assert.is(chosen(2 ** 33), "relaxed");
    const { code, message } = await failure(() =>
      wasmBackend.open({ wasmVariant: "simd", demand: { loaded: 5 * 2 ** 30, request: 0, least: 0 } }),
    );
    assert.is(code, "OUT_OF_MEMORY");
    assert.match(
      message,
      /of 4 GiB are left \(the end of 32-bit addresses\).*dtype.*Node\.js 24, Chrome 133/,
    );
  } finally {
    WebAssembly.validate = validate;
  }
});

test("memory for a run can be taken before it, and is given back when asked", async () => {
  const engine = await wasmBackend.open({ maxMemory: 64 * MIB });
  const program = deepProgram(256, 3);
  const weights = await uploadAll(engine, program, (_, size) => new Float32Array(size));
  const executable = engine.load(program, weights);
  const held = engine.liveBytes;
  const tokens = 8192;
  engine.reserve?.(executable, { tokens }, []);
  const reserved = engine.liveBytes;
  assert.ok(reserved - held >= 4 * 256 * tokens * 2);
  const x = new Float32Array(tokens * 256);
  await engine.run(executable, { symbols: { tokens }, buffers: { x, y: x.slice() } });
  assert.is(engine.liveBytes, reserved, "a run needs what was taken for it");
  const { code } = await failure(() => engine.reserve?.(executable, { tokens: 10 * tokens }, []));
  assert.is(code, "OUT_OF_MEMORY");
  engine.trim?.();
  assert.is(engine.liveBytes, held);
  await engine.run(executable, {
    symbols: { tokens: 1 },
    buffers: { x: x.slice(0, 256), y: x.slice(0, 256) },
  });
  engine.dispose();
});

test("a long run of requests leaves little memory between those that are live", async () => {
  const kernels = await chosenKernels();
  const size = fc.oneof(fc.integer({ min: 1, max: 4096 }), fc.integer({ min: 4096, max: 4 * MIB }));
  let most = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(size, fc.nat(40)), { minLength: 200, maxLength: 600 }), (requests) => {
      const live: { pointer: number; bytes: number }[] = [];
      let liveBytes = 0;
      const free = ({ pointer, bytes }: (typeof live)[number]) => {
        kernels.glimt_free(pointer);
        liveBytes -= bytes;
      };
      for (const [bytes, keep] of requests) {
        const pointer = kernels.glimt_allocate(bytes);
        assert.is(pointer % 64, 0);
        live.push({ pointer, bytes });
        liveBytes += bytes;
        most = Math.max(most, liveBytes);
        while (live.length > keep) free(live.shift() as (typeof live)[number]);
      }
      const sorted = [...live].sort((a, b) => a.pointer - b.pointer);
      sorted.forEach(({ pointer, bytes }, index) => {
        assert.ok(
          pointer + bytes <= (sorted[index + 1]?.pointer ?? Number.POSITIVE_INFINITY),
          "blocks overlap",
        );
      });
      for (const block of live.splice(0)) free(block);
      assert.is(liveBytes, 0);
    }),
    { numRuns: 30 },
  );
  const bytes = kernels.memory.buffer.byteLength;
  assert.ok(bytes <= 1.5 * most + 16 * MIB, `${bytes} bytes of memory for at most ${most} live ones`);
});

test.run();
