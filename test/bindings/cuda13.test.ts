/** The addon compiled for real GPUs, on machines without one: loading and probing is safe and says what is missing. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { refuseAddon } from "../../src/backends/cuda/addon.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";

const PATH = join(process.cwd(), "build/bindings/cuda13/glimt.node");
const isBuilt = existsSync(PATH);
if (!isBuilt) console.log("Skipped: `npm run build:native cuda` has not been run, or there is no nvcc.");
const whenBuilt = isBuilt ? test : test.skip;

const folder = mkdtempSync(join(tmpdir(), "glimt-driver-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A driver that says of itself what it is told to, and has no GPU. */
async function fakeDriver(version: number): Promise<string> {
  const source = join(folder, "driver.cpp");
  writeFileSync(
    source,
    `extern "C" int cuInit(unsigned) { return 100; }
     extern "C" int cuDriverGetVersion(int* version) { *version = ${version}; return 0; }`,
  );
  await promisify(execFile)("g++", ["-shared", "-fPIC", "-o", join(folder, "libcuda.so.1"), source]);
  return folder;
}

/** The probe's reason with this folder before the system's libraries. */
async function reason(libraries: string | undefined): Promise<string> {
  const before = process.env.LD_LIBRARY_PATH;
  if (libraries !== undefined) process.env.LD_LIBRARY_PATH = libraries;
  try {
    const probe = await createCudaBackend({ addonPath: PATH }).probe();
    return probe.ok ? `found ${probe.description}` : probe.reason;
  } finally {
    if (before === undefined) delete process.env.LD_LIBRARY_PATH;
    else process.env.LD_LIBRARY_PATH = before;
  }
}

whenBuilt("it loads, and is the addon of this version", () => {
  const addon = createRequire(import.meta.url)(PATH);
  assert.is(refuseAddon(addon), null);
  assert.is(addon.kind, "cuda");
});

whenBuilt("what this machine has or lacks is told", async () => {
  assert.match(
    await reason(undefined),
    /^found .*compute capability|There is no NVIDIA driver on this machine .*Install one|No CUDA device/,
  );
});

whenBuilt("a driver that is too old is named with both versions", async () => {
  assert.match(
    await reason(await fakeDriver(12040)),
    /driver supports CUDA 12\.4, .* 13\.0 .*Update the driver/,
  );
});

whenBuilt("a driver without a GPU is named", async () => {
  assert.match(await reason(await fakeDriver(13000)), /No CUDA device can be used: .*nvidia-smi/);
});

whenBuilt("opening an engine refuses in the same words, and this process lives", async () => {
  const backend = createCudaBackend({ addonPath: PATH });
  if ((await backend.probe()).ok) return;
  const addon = createRequire(import.meta.url)(PATH);
  const error = await addon.openEngine(0, 1, 0, null).then(
    () => null,
    (reason: { code: string }) => reason,
  );
  assert.is(error?.code, "BACKEND_UNAVAILABLE");
});

/** What asking for a group says in a process of its own, where NCCL is this file. */
async function groupBy(library: string): Promise<string> {
  const script = `
    const addon = require(${JSON.stringify(PATH)});
    try {
      const id = new Uint8Array(128);
      addon.newGroup(id);
      console.log("id " + id[0] + " " + id[127]);
    } catch ({ code, message }) {
      console.log(code + ": " + message);
    }`;
  const env = { ...process.env, GLIMT_NCCL: library };
  return (await promisify(execFile)(process.execPath, ["-e", script], { env })).stdout;
}

const NCCL_FUNCTIONS = [
  ...["ncclGetLastError", "ncclCommInitRank", "ncclCommSplit", "ncclCommGetAsyncError", "ncclCommAbort"],
  ...["ncclAllReduce", "ncclAllGather", "ncclReduceScatter", "ncclSend", "ncclRecv"],
];

/** A NCCL that says of itself what it is told to, and has nobody to talk to. */
async function fakeNccl(version: number, lacking?: string): Promise<string> {
  const source = join(folder, "nccl.cpp");
  const library = join(folder, `libnccl-${version}${lacking ?? ""}.so`);
  const functions = NCCL_FUNCTIONS.filter((name) => name !== lacking);
  writeFileSync(
    source,
    `extern "C" int ncclGetVersion(int* version) { *version = ${version}; return 0; }
     extern "C" const char* ncclGetErrorString(int) { return "no device"; }
     extern "C" int ncclGetUniqueId(char* id) { id[0] = 7; id[127] = 9; return 0; }
     ${functions.map((name) => `extern "C" void* ${name}() { return nullptr; }`).join("\n")}`,
  );
  await promisify(execFile)("g++", ["-shared", "-fPIC", "-o", library, source]);
  return library;
}

whenBuilt(
  "a group needs NCCL: one that is missing, too old or not whole is named, and what to do",
  async () => {
    assert.match(
      await groupBy(join(folder, "missing.so")),
      /^BACKEND_UNAVAILABLE: NCCL, by which the GPUs .*missing\.so.*Install it .* GLIMT_NCCL/,
    );
    assert.match(
      await groupBy(await fakeNccl(21403)),
      /^BACKEND_UNAVAILABLE: NCCL 2\.14\.3 is too old: .*2\.18/,
    );
    assert.match(await groupBy(await fakeNccl(2708)), /^BACKEND_UNAVAILABLE: NCCL 2\.7\.8 is too old/);
    assert.match(await groupBy(await fakeNccl(21800, "ncclCommSplit")), /NCCL lacks ncclCommSplit/);
    assert.is(await groupBy(await fakeNccl(22707)), "id 7 9\n");
  },
);

test.run();
