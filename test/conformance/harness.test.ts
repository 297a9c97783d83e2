/** The harness finds what a faulty backend does: each case plants one fault behind the reference backend. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, DeviceRows, Engine } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { compareRuns } from "../../src/conformance/compare.ts";
import { runConformance } from "../../src/conformance/conformance.ts";
import { GlimtError } from "../../src/errors.ts";
import type { LocalOp } from "../../src/graph/ops.ts";
import type { HostArray } from "../../src/tensor/dtype.ts";

/** Changes the bound rows of the output after a run; `data` also has the guard rows around them. */
type Fault = (data: HostArray, start: number, count: number) => void;

function faultyBackend(fault: Fault, overrides: Partial<Backend> = {}): Backend {
  const backend: Backend = {
    ...referenceBackend,
    async open() {
      const engine = await referenceBackend.open();
      const faulty: Engine = Object.create(engine, {
        backend: { value: backend },
        liveBytes: { get: () => engine.liveBytes },
      });
      for (const method of [
        "allocate",
        "free",
        "write",
        "read",
        "uploadWeight",
        "load",
        "dispose",
      ] as const) {
        Object.assign(faulty, { [method]: engine[method].bind(engine) });
      }
      faulty.run = async (executable, bindings, options) => {
        await engine.run(executable, bindings, options);
        for (const { kind, name } of executable.program.buffers) {
          if (kind !== "output") continue;
          const { tensor, firstRow, rows } = bindings.buffers[name] as DeviceRows;
          const data = await engine.read(tensor);
          fault(data, firstRow * tensor.cols, rows * tensor.cols);
          engine.write(tensor, 0, data);
        }
      };
      return faulty;
    },
    ...overrides,
  };
  return backend;
}

const FAULTS: readonly [name: string, op: LocalOp, fault: Fault, complaint: RegExp][] = [
  [
    "a wrong element",
    "linear",
    (data, start, count) => {
      if (count) data[start + count - 1] = (data[start + count - 1] as number) * 1.01 + 0.01;
    },
    /^y\[\d+\] is/,
  ],
  [
    "a write before the output",
    "gelu",
    (data, start) => {
      data[start - 1] = 0;
    },
    /wrote outside y/,
  ],
  [
    "a write past the output",
    "gelu",
    (data, start, count) => {
      data[start + count] = 0;
    },
    /wrote outside y/,
  ],
  [
    "a NaN that is lost",
    "add",
    (data) => {
      data.forEach((value, index) => {
        if (Number.isNaN(value)) data[index] = 0;
      });
    },
    /is 0, expected NaN/,
  ],
  [
    "an infinity of the other sign",
    "add",
    (data) => {
      data.forEach((value, index) => {
        if (value === Number.POSITIVE_INFINITY) data[index] = -value;
      });
    },
    /is -Infinity, expected Infinity/,
  ],
  [
    "a moved element that is rounded",
    "gather_rows",
    (data, start, count) => {
      if (count) data[start] = (data[start] as number) * (1 + 2 ** -20);
    },
    /^y\[0\] is/,
  ],
  [
    "another expert",
    "route_experts",
    (data, start, count) => {
      if (count && data instanceof Int32Array) data[start] = (data[start] as number) + 1;
    },
    /^experts\[0\] is/,
  ],
];

for (const [name, op, fault, complaint] of FAULTS) {
  test(`finds ${name}`, async () => {
    const results = await runConformance(faultyBackend(fault), { ops: [op] });
    const failures = results.filter(({ ok }) => !ok);
    assert.ok(failures.length > 0);
    for (const { failure } of failures) assert.match(failure as string, complaint);
  });
}

test("a backend's answer is the reason to skip", async () => {
  const backend = faultyBackend(() => {}, { supports: () => ({ ok: false, reason: "no such kernel" }) });
  const results = await runConformance(backend, { ops: ["gelu"] });
  assert.ok(results.every(({ ok, skippedReason }) => ok && skippedReason === "no such kernel"));
});

test("an error is a failure of its case alone", async () => {
  let runs = 0;
  const backend = faultyBackend(() => {
    runs += 1;
    if (runs === 2) throw new GlimtError("OUT_OF_MEMORY", "planted");
  });
  const failures = (await runConformance(backend, { ops: ["gelu"] })).filter(({ ok }) => !ok);
  assert.is(failures.length, 1);
  assert.match(failures[0]?.failure as string, /planted/);
});

test("differences are relative to the element or the output's rms, whichever is larger", () => {
  const run = (...values: number[]) => ({ outputs: { y: Float32Array.of(...values) }, strayWrites: [] });
  const difference = compareRuns(run(3, 4, 0, 1000), run(3, 4, 0.05, 1001), 1e-3);
  assert.is(difference.ok, true);
  assert.is(difference.maxAbs, 1);
  assert.is(difference.maxRel, 1e-3);
  assert.is(compareRuns(run(3, 4, 0, 1000), run(3, 4, 0, 1002), 1e-3).ok, false);
  assert.is(compareRuns(run(1, 2), run(1), 1).ok, false);
});

test.run();
