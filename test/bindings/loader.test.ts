/** The loader: which addon it takes, and what it says of each it refuses. Fake addons stand for broken ones. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SIGNATURES } from "../../src/backends/cuda/addon.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { describeDevice, refuseDevice } from "../../src/backends/cuda/device.ts";
import { findAddon, type Search } from "../../src/backends/cuda/loader.node.ts";
import { PROGRAM_VERSION } from "../../src/program/program.ts";
import { chooseBackend } from "../../src/runtime/choose-backend.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import type { StorageFormat } from "../../src/tensor/storage.ts";
import { EMULATOR_PATH, loadEmulator } from "./emulator.ts";

const PACKAGE = "@glimt/cuda13-linux-x64-gnu";
const GPU = {
  name: "NVIDIA Test GPU",
  major: 9,
  minor: 0,
  multiprocessors: 132,
  driverVersion: 13000,
  runtimeVersion: 13000,
  missingCublas: "",
  totalBytes: 80 * 2 ** 30,
  freeBytes: 79 * 2 ** 30,
};

const folder = mkdtempSync(join(tmpdir(), "glimt-loader-"));
test.after(() => rmSync(folder, { recursive: true }));
let files = 0;

function fake(source: string, path = join(folder, `${files++}.cjs`)): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, source);
  return path;
}

/** A module that looks like the addon, with some things changed. */
function fakeAddon(changes: Record<string, string> = {}): string {
  const parts: Record<string, string> = {
    kind: '"cuda"',
    programVersion: String(PROGRAM_VERSION),
    signatures: JSON.stringify(SIGNATURES),
    probe: `() => (${JSON.stringify(GPU)})`,
    ...changes,
  };
  const members = Object.entries(parts).map(([name, value]) => `${name}: ${value}`);
  return `module.exports = { ${members.join(", ")} };`;
}

const unavailable = (message: string) =>
  `() => { throw Object.assign(new Error(${JSON.stringify(message)}), { code: "BACKEND_UNAVAILABLE" }); }`;

async function refusals(search: Partial<Search>): Promise<string> {
  const result = await findAddon({ device: 0, env: {}, platform: "linux-x64-gnu", ...search });
  if ("path" in result) throw new Error(`found ${result.path}`);
  return result.map(({ source, reason }) => `${source}: ${reason}`).join("\n");
}

async function found(search: Partial<Search>): Promise<string> {
  const result = await findAddon({ device: 0, env: {}, platform: "linux-x64-gnu", ...search });
  if (!("path" in result)) throw new Error(JSON.stringify(result));
  return result.path;
}

const override = (path: string) => ({ env: { GLIMT_CUDA_ADDON: path } });

const REFUSED: readonly [name: string, source: () => string, message: RegExp][] = [
  [
    "missing",
    () => join(folder, "nowhere.node"),
    /^GLIMT_CUDA_ADDON: .*nowhere\.node does not exist\. Correct/,
  ],
  ["not a library", () => fake("junk", join(folder, "junk.node")), /can not be loaded: .*(ELF|too short)/],
  [
    "built for another architecture",
    () => {
      // The machine field of an ELF header, set to AArch64.
      const path = join(folder, "foreign.node");
      const bytes = Buffer.alloc(4096);
      Buffer.from("7f454c4602010100000000000000000003", "hex").copy(bytes);
      bytes[16] = 3;
      bytes.writeUInt16LE(183, 18);
      writeFileSync(path, bytes);
      return path;
    },
    /can not be loaded: .*foreign\.node/,
  ],
  ["a relative path to nowhere", () => "build/nowhere.node", /\/build\/nowhere\.node does not exist/],
  ["throwing no error", () => fake("throw null;"), /can not be loaded: null\. Correct/],
  ["throwing on load", () => fake('throw new Error("planted");'), /can not be loaded: planted\. Correct/],
  ["crashing on load", () => fake("process.abort();"), /took its process down \(SIGABRT\)/],
  [
    "crashing in the driver",
    () => fake(fakeAddon({ probe: '() => process.kill(process.pid, "SIGSEGV")' })),
    /took its process down \(SIGSEGV\)/,
  ],
  ["exiting on load", () => fake("process.exit(3);"), /took its process down \(exit code 3\)/],
  ["another module", () => fake("module.exports = { hello: 1 };"), /it is not glimt's native addon/],
  [
    "made for other programs",
    () => fake(fakeAddon({ programVersion: "99" })),
    new RegExp(`programs of version 99, and this glimt makes version ${PROGRAM_VERSION}`),
  ],
  [
    "of an older version",
    () => fake(fakeAddon({ signatures: JSON.stringify({ ...SIGNATURES, run: "executable -> none" }) })),
    /it is of another version \(run is "executable -> none", expected "executable symbols/,
  ],
  [
    "of a newer version",
    () => fake(fakeAddon({ signatures: JSON.stringify({ ...SIGNATURES, extra: "-> none" }) })),
    /extra is "-> none", expected "nothing"/,
  ],
  ["the emulator", () => EMULATOR_PATH, /is the CPU emulator, which is for tests only/],
  [
    "without a driver",
    () => fake(fakeAddon({ probe: unavailable("There is no NVIDIA driver. Install one.") })),
    /GLIMT_CUDA_ADDON: There is no NVIDIA driver\. Install one\.$/,
  ],
];

for (const [name, source, message] of REFUSED) {
  test(`an addon that is ${name} is refused, and this process lives`, async () => {
    assert.match(await refusals(override(source())), message);
  });
}

const UNFIT: readonly [name: string, device: Partial<typeof GPU>, message: RegExp][] = [
  ["an old driver", { driverVersion: 12040 }, /driver is for CUDA 12\.4, and CUDA 13\.0 is needed: update/],
  ["an old GPU", { major: 7, minor: 5 }, /compute capability 7\.5, and 8\.0 \(Ampere\) is needed/],
  ["no free memory", { freeBytes: 2 ** 27 }, /has 0\.1 GiB of 80\.0 GiB free, .*nvidia-smi/],
];

for (const [name, device, message] of UNFIT) {
  test(`a machine with ${name} is refused with what to do`, async () => {
    const path = fake(fakeAddon({ probe: `() => (${JSON.stringify({ ...GPU, ...device })})` }));
    assert.match(await refusals(override(path)), message);
    assert.is(refuseDevice("emulator", { ...GPU, ...device }), null);
  });
}

test("a missing cuBLASLt is no refusal, but said with what to do", () => {
  assert.match(
    describeDevice(GPU),
    /^NVIDIA Test GPU, .* 79\.0 GiB of 80\.0 GiB free, .* CUDA 13\.0, cuBLASLt$/,
  );
  const missing = describeDevice({ ...GPU, missingCublas: "libcublasLt.so.13: cannot open" });
  assert.match(
    missing,
    /no cuBLASLt \(libcublasLt\.so\.13: cannot open\): .*install cuBLAS 13.*GLIMT_CUBLASLT/,
  );
});

test("what is printed while an addon loads does not disturb its answer", async () => {
  const path = fake(`console.log("{}\\nhello"); ${fakeAddon()}`);
  assert.is(await found(override(path)), path);
});

/** A folder like a checkout or an installed package, with what it shall hold. */
function installation({ local, packaged }: { local?: string; packaged?: string }): string {
  const root = mkdtempSync(join(folder, "root-"));
  fake('{ "name": "glimt" }', join(root, "package.json"));
  if (local !== undefined) {
    mkdirSync(join(root, "bindings"));
    if (local) fake(local, join(root, "build/bindings/cuda13/glimt.node"));
  }
  if (packaged !== undefined) {
    const home = join(root, "node_modules", PACKAGE);
    fake(JSON.stringify({ name: PACKAGE, main: "glimt.cjs" }), join(home, "package.json"));
    fake(packaged, join(home, "glimt.cjs"));
  }
  return root;
}

test("the override comes before the local build, which comes before the package", async () => {
  const root = installation({ packaged: fakeAddon() });
  assert.match(await found({ root }), /node_modules\/@glimt\/cuda13-linux-x64-gnu\/glimt\.cjs$/);
  const chosen = fake(fakeAddon());
  assert.is(await found({ root, ...override(chosen) }), chosen);

  const both = installation({ local: "junk", packaged: fakeAddon() });
  copyFileSync(EMULATOR_PATH, join(both, "build/bindings/cuda13/glimt.node"));
  assert.match(await found({ root: both }), /node_modules/);
  assert.match(
    await refusals({ root: installation({ local: "junk", packaged: 'throw new Error("planted");' }) }),
    /^local build: .*can not be loaded.*npm run build:native.*\npackage @glimt\/.*planted/,
  );
});

test("an override that fails is not covered up by what would work", async () => {
  const root = installation({ packaged: fakeAddon() });
  const said = await refusals({ root, ...override(fake("process.abort();")) });
  assert.is(said.split("\n").length, 1);
});

test("what is not there is said with the way to get it", async () => {
  assert.is(
    await refusals({ root: installation({}) }),
    `package ${PACKAGE}: It is not installed. Pack it in a checkout of this version with \`npm run package:native\`, and install that.`,
  );
  assert.match(
    await refusals({ root: installation({ local: "" }) }),
    /^local build: .*does not exist\. Build it with `npm run build:native cuda`\.\npackage/,
  );
  assert.match(
    await refusals({ root: installation({}), platform: "darwin-arm64" }),
    /There is no CUDA build for darwin-arm64; there is one for linux-x64-gnu/,
  );
});

test("what the machine lacks is said once, not for every addon", async () => {
  const lacking = fakeAddon({ probe: unavailable("There is no GPU. Insert one.") });
  const root = installation({ packaged: lacking });
  assert.is(await refusals({ root }), `package ${PACKAGE}: There is no GPU. Insert one.`);
});

test("a backend that is refused says why in probe and in open, and loads nothing", async () => {
  const backend = createCudaBackend({ addonPath: join(folder, "nowhere.node") });
  const probe = await backend.probe();
  assert.is(probe.ok, false);
  await backend.open().then(
    () => assert.unreachable(),
    (error) => assert.equal([error.code, error.message], ["BACKEND_UNAVAILABLE", !probe.ok && probe.reason]),
  );
  assert.throws(
    () => backend.supports({ op: "gelu", attrs: {}, activation: "bf16", formats: { x: "bf16" } }),
    /probe the backend first/,
  );
});

test("what kernels can not read is refused for a node, by its operands' formats", async () => {
  const backend = createCudaBackend({ addonPath: EMULATOR_PATH });
  await backend.probe();
  const experts = (activation: DType, gateUp: StorageFormat, down: StorageFormat) =>
    backend.supports({
      op: "experts",
      attrs: { numExperts: 4, topK: 2, width: 8, firstExpert: 0, totalExperts: 4 },
      activation,
      formats: { x: activation, experts: "i32", weights: "f32", gateUp, down },
    });
  assert.equal(experts("bf16", "f16", "f16"), { ok: true });
  const mixed = experts("bf16", "bf16", "f16");
  assert.match(mixed.ok ? "" : mixed.reason, /experts .*gateUp and down have one format/);
  const whole = experts("i32", "bf16", "bf16");
  assert.match(whole.ok ? "" : whole.reason, /no i32 activations/);
});

test("a device that does not exist is refused by number", async () => {
  const probe = await createCudaBackend({ addonPath: EMULATOR_PATH, device: 99 }).probe();
  assert.match(probe.ok ? "" : probe.reason, /Device 99 does not exist/);
});

test("of several devices the first is asked, and no other that nobody named", async () => {
  const refusing = `(device) => device === 0 ? (${unavailable("Device 0 is broken.")})() : (${JSON.stringify(GPU)})`;
  const addonPath = fake(fakeAddon({ probe: refusing }));
  const backend = createCudaBackend({ addonPath });
  const { report } = await chooseBackend([backend], "cuda", [2, 3]);
  assert.is(report.description, describeDevice(GPU));
  for (const devices of [undefined, [0, 2]]) {
    const probe = await backend.probe(devices);
    assert.match(probe.ok ? "" : probe.reason, /Device 0 is broken/);
  }
});

test("options are checked", () => {
  for (const options of [{ activations: "i32" as "f32" }, { device: -1 }, { device: 0.5 }]) {
    assert.throws(
      () => createCudaBackend(options),
      (error: { code?: string }) => error.code === "OPTION_INVALID",
    );
  }
});

test("the addon exports exactly what its TypeScript types derive from", () => {
  const addon = loadEmulator() as unknown as Record<string, unknown> & { signatures: unknown };
  assert.equal(addon.signatures, SIGNATURES);
  const functions = Object.keys(addon).filter((name) => typeof addon[name] === "function");
  assert.equal(functions.sort(), Object.keys(SIGNATURES).sort());
});

test("arguments of another kind or number are refused by the addon, whatever they are", async () => {
  const addon = loadEmulator() as unknown as Record<string, (...args: unknown[]) => unknown>;
  const engine = await loadEmulator().openEngine(0, 0, 0, null);
  const odd = [undefined, null, 1, -1, 0.5, Number.NaN, 2 ** 60, "x", {}, [], [[]], engine, () => {}];
  for (const [name, signature] of Object.entries(SIGNATURES)) {
    const count = (signature.split(" -> ")[0] as string).split(" ").length;
    for (const value of odd) {
      for (const args of [
        [],
        Array(count).fill(value),
        [engine, ...Array(count - 1).fill(value)],
        Array(count + 1).fill(0),
      ]) {
        if (name === "closeEngine" || name === "openEngine" || name.startsWith("emulator")) continue;
        try {
          await addon[name]?.(...args);
        } catch (error) {
          assert.ok((error as { code?: string }).code, `${name}: ${error}`);
        }
      }
    }
  }
  loadEmulator().closeEngine(engine);
});

test.run();
