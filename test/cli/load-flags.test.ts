/** `--kv-cache`, `--activations`, `--device`, and what loading takes of a GPU. */
import { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type CheckpointFlags,
  checkpointOptions,
  withCheckpointOptions,
} from "../../src/cli/checkpoint-flags.ts";
import { memoryLine } from "../../src/cli/memory-line.ts";
import { backendsFor, kvCacheSize, loadOptions, memorySizeOrNone } from "../../src/cli/model-options.ts";
import { sourceOptions } from "../../src/cli/source-flags.ts";
import { backends } from "../../src/index.ts";

test("a KV cache is a size or a share", () => {
  assert.equal(kvCacheSize("512MiB"), { bytes: 512 * 2 ** 20 });
  assert.equal(kvCacheSize("1.5GiB"), { bytes: 1.5 * 2 ** 30 });
  assert.equal(kvCacheSize("50%"), { fraction: 0.5 });
  for (const text of ["", "4", "4G", "4 GiB", "-1GiB", "101%", "GiB", "1e9GiB"]) {
    assert.throws(() => kvCacheSize(text), /512MiB/, text);
  }
});

test("a cache of features may have no room", () => {
  assert.is(memorySizeOrNone("0MiB"), 0);
  assert.is(memorySizeOrNone("64MiB"), 64 * 2 ** 20);
  for (const text of ["", "0", "-1MiB", "64"])
    assert.throws(() => memorySizeOrNone(text), /0MiB for none/, text);
});

test("times are handed on to loading", () => {
  const flags = { backend: "auto", media: "default", rounding: "torchvision" } as const;
  assert.is(loadOptions({ ...flags, checkpointTimeout: 7 }).checkpointTimeout, 7);
  assert.is(sourceOptions({ decodeTimeout: 5 }).decodeTimeout, 5);
});

test("headers are sent to the checkpoint's server, and a wrong one is not shown", async () => {
  const parse = (...args: string[]) =>
    withCheckpointOptions(new Command()).exitOverride().parse(args, { from: "user" }).opts<CheckpointFlags>();
  const flags = parse("--header", "Authorization: Bearer a:b", "--header", "X-Key:1");
  assert.equal(checkpointOptions(flags).headers, { Authorization: "Bearer a:b", "X-Key": "1" });
  assert.is(checkpointOptions(parse()).headers, undefined);
  try {
    parse("--header", "hf_secret");
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /--header has a name/);
    assert.not.match(String(error), /hf_secret/);
  }
});

test("CUDA is as the flags say, and the only choice then", () => {
  const flags = { media: "default", rounding: "torchvision" } as const;
  assert.is(backendsFor({ ...flags, backend: "auto" }), backends);
  const chosen = backendsFor({ ...flags, backend: "cuda", activations: "f16" });
  assert.equal(
    chosen.map(({ name, activationDType }) => [name, activationDType]),
    [["cuda", "f16"]],
  );
  for (const backend of ["auto", "wasm", "reference"] as const) {
    assert.throws(() => backendsFor({ ...flags, backend, device: 1 }), /--backend cuda/);
  }
});

test("what loading takes is one line where the device can tell what is free", () => {
  const weightBytes = 3 * 2 ** 30;
  assert.is(
    memoryLine({ weightBytes, kvCacheBytes: 2 ** 29, freeBytes: 80 * 2 ** 30 }),
    "memory: weights 3.00 GiB, KV cache 512.0 MiB; 80.0 GiB are free",
  );
  assert.is(
    memoryLine({ weightBytes, kvCacheBytes: 0, freeBytes: 80 * 2 ** 30 }),
    "memory: weights 3.00 GiB, a KV cache that grows; 80.0 GiB are free",
  );
  assert.is(memoryLine({ weightBytes, kvCacheBytes: 2 ** 29 }), null);
});

test.run();
