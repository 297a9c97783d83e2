/** Times of a device group, predicted: from figures that make them easy to reckon. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { groupTime, linkSeconds } from "../../src/measure/group-time.ts";
import { type Hardware, readHardware } from "../../src/measure/hardware.ts";

const hardware: Hardware = {
  name: "made up",
  source: "here",
  memoryBytes: 1e9,
  memoryBytesPerSecond: 1000,
  operationsPerSecond: 1e6,
  instructionSeconds: 0.001,
  link: { bytesPerSecond: 100, operationSeconds: 0.01 },
};

function near(found: number, expected: number, what?: string): void {
  assert.ok(
    Math.abs(found - expected) <= 1e-9 * Math.abs(expected),
    `${what ?? ""} ${found}, not ${expected}`,
  );
}

test("a ring sends each byte of a sum twice but for a share, of a gather to all others", () => {
  const { link } = hardware;
  near(linkSeconds("all_reduce", 80, 4, link), 0.01 + (2 * 3 * 80) / 4 / 100);
  near(linkSeconds("reduce_scatter", 80, 4, link), 0.01 + (3 * 80) / 4 / 100);
  near(linkSeconds("all_gather", 80, 4, link), 0.01 + (3 * 80) / 100);
  near(linkSeconds("send", 80, 1, link), 0.01 + 80 / 100);
  assert.is(linkSeconds("receive", 80, 1, link), 0);
});

/** Two layers of an MLP, 32 wide inside and 8 outside. */
function mlp() {
  const g = createGraphBuilder({ name: "mlp", activationDType: "f32", weightDType: () => "f32" });
  let x = g.input("x", [g.symbol("tokens"), 8], "f32");
  g.input("rows", [g.symbol("tokens")], "i32");
  for (const layer of [0, 1]) {
    x = g.scope(`layers.${layer}`, () => {
      const inner = g.gelu({ x: g.linear({ x, w: g.weight(`up.${layer}`, [32, 8]) }) });
      return g.linear({ x: inner, w: g.weight(`down.${layer}`, [8, 32]) });
    });
  }
  return g.finish({ y: x });
}

test("a rank reads its weights and waits for its sums; stages follow one another", () => {
  const sizes = { symbols: { tokens: 1 }, extents: [] };
  const layer = 2 * 32 * 8 * 4;
  const one = groupTime(compileGraph(mlp()), 1, sizes, hardware);
  near(one.latency, 2 * (layer / 1000 + 3 * 0.001));
  assert.is(one.communicatingShare, 0);

  const tensor = compileGraph(mlp(), { partition: { tensor: 2, cuts: [] } });
  const two = groupTime(tensor, 2, sizes, hardware);
  const reduce = 0.01 + 32 / 100;
  near(two.latency, 2 * (layer / 2 / 1000 + 3 * 0.001 + reduce));
  near(two.communicatingShare, (2 * reduce) / two.latency);
  assert.is(two.interval, two.latency);

  const pipeline = compileGraph(mlp(), { partition: { tensor: 1, cuts: [1] } });
  const staged = groupTime(pipeline, 1, sizes, hardware);
  near(staged.latency, one.latency + 0.01 + 32 / 100);
  near(staged.interval, one.latency / 2 + 0.01 + 32 / 100);
  assert.is(staged.stages.length, 2);
});

test("ranks that have all of a program run side by side, and those that have none of it take no time", () => {
  const sizes = { symbols: { tokens: 1 }, extents: [] };
  const one = groupTime(compileGraph(mlp()), 1, sizes, hardware);
  const pipeline = { tensor: 1, cuts: [1], encoders: 2 };
  const apart = groupTime(
    compileGraph(mlp(), { partition: { ...pipeline, copies: true } }),
    1,
    sizes,
    hardware,
  );
  assert.equal([apart.latency, apart.stages.length], [one.latency, 1]);
  const beside = groupTime(compileGraph(mlp(), { partition: pipeline }), 1, sizes, hardware);
  const staged = groupTime(compileGraph(mlp(), { partition: { tensor: 1, cuts: [1] } }), 1, sizes, hardware);
  assert.equal(beside, staged);
});

test("figures are read from a file, and what is missing is named", () => {
  assert.equal(readHardware(JSON.parse(JSON.stringify(hardware))), hardware);
  for (const [change, message] of [
    [{ memoryBytes: 0 }, /"memoryBytes" must be a positive number/],
    [{ link: { bytesPerSecond: 1 } }, /"operationSeconds" must be a positive number/],
    [{ name: undefined }, /"name" must be a text/],
    [{ instructionSeconds: "3" }, /"instructionSeconds"/],
  ] as const) {
    assert.throws(() => readHardware({ ...hardware, ...change }), message);
  }
  assert.throws(() => readHardware(null), /Hardware/);
});

test.run();
