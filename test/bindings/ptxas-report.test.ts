/** What the report of registers and spills makes of ptxas' words: no GPU will say that a kernel is slow. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

const SCRIPT = join(process.cwd(), "crates-free-native/scripts/ptxas-report.mjs");
const KERNEL = `ptxas info    : Compiling entry function '_ZN5glimt4slowEv' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 512 bytes smem
`;

function report(output: string) {
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT], { input: output, encoding: "utf8" });
  return { status, stdout };
}

test("a kernel within its registers is a line of the table", () => {
  const { status, stdout } = report(KERNEL);
  assert.is(status, 0);
  assert.match(stdout, /slow[^|]*\| sm_90a \| 40 \| 0 \| 0 \| 512 \|/);
});

test("spills fail the report", () => {
  assert.is(report(KERNEL.replace("0 bytes spill stores", "8 bytes spill stores")).status, 1);
});

test("wgmma that ptxas waits for one by one fails the report", () => {
  const warning =
    "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to a call";
  const { status, stdout } = report(`${KERNEL}${warning}\n`);
  assert.is(status, 1);
  assert.match(stdout, /C7510.*serialized/);
});

test.run();
