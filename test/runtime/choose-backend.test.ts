/** Which backend is taken, and what is said of those that are not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Probe } from "../../src/backends/backend.ts";
import { findAddon } from "../../src/backends/cuda/loader.node.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { chooseBackend } from "../../src/runtime/choose-backend.ts";

const cuda = (probe: Probe): Backend => ({ ...wasmBackend, name: "cuda", probe: async () => probe });
const broken = { ok: false, reason: "The driver is too old." } as const;
const absent = { ok: false, reason: "It is not installed.", isAbsent: true } as const;

test("what is broken is told; what nobody has or asked for is not", async () => {
  const told = await chooseBackend([cuda(broken), wasmBackend], "auto");
  assert.is(told.backend.name, "wasm");
  assert.equal(told.refused, [{ backend: "cuda", reason: broken.reason }]);
  assert.equal((await chooseBackend([cuda(absent), wasmBackend], "auto")).refused, []);
});

test("who asks for it by name is told why it is not there", async () => {
  await chooseBackend([cuda(absent), wasmBackend], "cuda").then(
    () => assert.unreachable(),
    (error) =>
      assert.match(
        error.message,
        /^The backend that was asked for can not run here\. cuda: It is not installed\./,
      ),
  );
});

test("a machine that does not let itself be looked at has no addon", async () => {
  const env = new Proxy(
    {},
    {
      get() {
        throw new Error("Requires env access");
      },
    },
  );
  const refusals = await findAddon({ device: 0, env });
  assert.ok(!("path" in refusals));
  assert.match(refusals[0]?.reason ?? "", /can not be looked at: Requires env access/);
  assert.ok(refusals.every(({ isAbsent }) => isAbsent));
});

test.run();
