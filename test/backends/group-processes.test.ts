/** A group in several processes, over TCP on this machine. */
import { spawn } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { type JoinOptions, joinProcesses } from "../../src/backends/group/processes.node.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import { loadModel } from "../../src/index.ts";
import { goldenCases } from "../golden/load.ts";
import {
  columnParallel,
  expectedLinear,
  groupOptions,
  integers,
  loadPartitioned,
  openGroup,
  type Partitioned,
  partitioned,
  rankProgram,
  rowParallel,
  twoStages,
} from "./group-sample.ts";
import { faultyRank } from "./runs-through.ts";

const KEY = "between us";

/** A port that nobody listens at. */
async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

async function joinAll(count: number, options: Partial<JoinOptions> = {}) {
  const address = await freeAddress();
  // In an order that makes some wait.
  const indices = Array.from({ length: count }, (_, index) => count - 1 - index);
  const links = await Promise.all(
    indices.map((index) => joinProcesses({ address, index, count, key: KEY, timeout: 20_000, ...options })),
  );
  return links.reverse();
}

/** One engine for each of some processes, of which this one is all. */
async function openAll(
  backend: Backend,
  sample: Partitioned,
  tensor: number,
  pipeline: number,
  count: number,
) {
  const links = await joinAll(count);
  const { devices, ...shape } = groupOptions(tensor, pipeline, 5000);
  return Promise.all(
    links.map(async (link) => {
      const own = devices.slice(0, devices.length / count);
      const engine = await openGroup(backend, { ...shape, devices: own, link }, [sample.program]);
      const executable = await loadPartitioned(engine, sample);
      const run = async (tokens: number, { first = 0 } = {}) => {
        const y = new Float32Array(tokens * 6);
        const buffers = { x: integers(tokens).map((x) => x + first), ids: new Int32Array(tokens), y };
        await engine.run(executable, { symbols: { tokens }, buffers });
        return y;
      };
      return { engine, executable, run, link };
    }),
  );
}

async function failure(action: Promise<unknown>): Promise<GlimtError> {
  try {
    await action;
  } catch (error) {
    assert.instance(error, GlimtError, String(error));
    return error as GlimtError;
  }
  return assert.unreachable("expected an error") as never;
}

const doubled = (tokens: number) => expectedLinear(integers(tokens).map((value) => 2 * value));
const SAMPLES: readonly (readonly [
  string,
  Partitioned,
  number,
  number,
  number,
  (tokens: number) => Float32Array,
])[] = [
  ["sums over two", rowParallel(referenceBackend, 2), 2, 1, 2, (tokens) => expectedLinear(integers(tokens))],
  [
    "sums over four in two",
    rowParallel(referenceBackend, 4),
    4,
    1,
    2,
    (tokens) => expectedLinear(integers(tokens)),
  ],
  [
    "columns over three",
    columnParallel(referenceBackend, 3, 2),
    3,
    1,
    3,
    (tokens) => expectedLinear(integers(tokens)),
  ],
  ["stages in two", twoStages(referenceBackend), 1, 2, 2, doubled],
];

for (const [name, sample, tensor, pipeline, count, expected] of SAMPLES) {
  test(`${name} processes: each has the answer`, async () => {
    const all = await openAll(referenceBackend, sample, tensor, pipeline, count);
    for (const tokens of [3, 1, 40]) {
      const results = await Promise.all(all.map(({ run }) => run(tokens)));
      for (const y of results) assert.equal(y, expected(tokens));
    }
    // Several under way.
    const results = await Promise.all(all.map(({ run }) => Promise.all([run(2), run(5)])));
    for (const [first, second] of results) {
      assert.equal(first, expected(2));
      assert.equal(second, expected(5));
    }
    for (const { engine } of all) engine.dispose();
  });
}

test("several outputs of several runs come to the processes that lack them", async () => {
  const X = [2, 4];
  const build = (rank: number, doubled: "y" | "z") =>
    rankProgram(referenceBackend, rank, (g) => {
      const x = g.input("x", X, "f32");
      const twice = g.add({ a: x, b: x });
      return doubled === "y" ? { y: twice } : { z: g.add({ a: twice, b: x }), v: g.add({ a: x, b: x }) };
    });
  const whole = rankProgram(referenceBackend, 0, (g) => {
    const x = g.input("x", X, "f32");
    return { y: g.add({ a: x, b: x }), z: g.add({ a: x, b: x }), v: g.add({ a: x, b: x }) };
  });
  const sample = partitioned(whole, [build(0, "y"), build(1, "z")], {});
  const all = await openAll(referenceBackend, sample, 1, 2, 2);
  const results = await Promise.all(
    all.map(({ engine, executable }) =>
      Promise.all(
        [1, 10, 100].map(async (factor) => {
          const x = integers(2).map((value) => value * factor);
          const [y, z, v] = [new Float32Array(8), new Float32Array(8), new Float32Array(8)];
          await engine.run(executable, { symbols: {}, buffers: { x, y, z, v } });
          return { x, y, z, v };
        }),
      ),
    ),
  );
  for (const { x, y, z, v } of results.flat()) {
    assert.equal(
      y,
      x.map((value) => 2 * value),
    );
    assert.equal(
      z,
      x.map((value) => 3 * value),
    );
    assert.equal(
      v,
      x.map((value) => 2 * value),
    );
  }
  for (const { engine } of all) engine.dispose();
});

test("rows that one process has are read in all", async () => {
  const sample = twoStages(referenceBackend);
  const all = await openAll(referenceBackend, sample, 1, 2, 2);
  const read = await Promise.all(
    all.map(async ({ engine }) => {
      const tensor = engine.allocate("f32", 2, 6, "y");
      engine.write(
        tensor,
        0,
        Float32Array.from({ length: 12 }, (_, i) => i),
      );
      return engine.read(tensor, 1, 1);
    }),
  );
  for (const rows of read) assert.equal(rows, Float32Array.of(6, 7, 8, 9, 10, 11));
  assert.is(all[0]?.engine.liveBytes, 0);
  for (const { engine } of all) engine.dispose();
});

test("want of memory in one process ends the run in all, and the next is whole", async () => {
  const sample = rowParallel(referenceBackend, 2);
  const full = faultyRank(referenceBackend, 1, async () => {
    throw new GlimtError("OUT_OF_MEMORY", "planted");
  });
  const all = await openAll(full, sample, 2, 1, 2);
  const ends = await Promise.all(all.map(({ run }) => failure(run(2))));
  assert.equal(
    ends.map(({ code }) => code),
    ["OUT_OF_MEMORY", "OUT_OF_MEMORY"],
  );
  assert.match(ends[0]?.message ?? "", /In process 1 of the group: planted/);
  for (const y of await Promise.all(all.map(({ run }) => run(3))))
    assert.equal(y, expectedLinear(integers(3)));
  for (const { engine } of all) engine.dispose();
});

test("processes that are asked different things have no answer, as ranks of one size would give one", async () => {
  const sample = rowParallel(referenceBackend, 2);
  const all = await openAll(referenceBackend, sample, 2, 1, 2);
  const ends = await Promise.all(all.map(({ run }, index) => failure(run(3, { first: index }))));
  for (const { code, message } of ends) {
    assert.is(code, "GROUP_FAILED");
    assert.match(message, /was asked something else than process/);
  }
  assert.equal(
    all.map(({ engine }) => engine.liveBytes),
    [0, 0],
  );
});

test("a process that ends fails the group in the others at once", async () => {
  const [first, second] = await openAll(referenceBackend, rowParallel(referenceBackend, 2), 2, 1, 2);
  const waiting = failure(first?.run(2) as Promise<unknown>);
  second?.engine.dispose();
  const error = await waiting;
  assert.is(error.code, "GROUP_FAILED");
  assert.match(error.message, /process 1 has ended/);
  assert.is(first?.engine.liveBytes, 0);
});

test("a process that stands still fails the group at the deadline", async () => {
  const links = await joinAll(2);
  const sample = rowParallel(referenceBackend, 2);
  const { devices: _, ...shape } = groupOptions(2, 1, 400);
  const engine = await openGroup(referenceBackend, { ...shape, devices: [0], link: links[0] }, [
    sample.program,
  ]);
  const executable = await loadPartitioned(engine, sample);
  const buffers = { x: integers(1), y: new Float32Array(6) };
  const error = await failure(engine.run(executable, { symbols: { tokens: 1 }, buffers }));
  assert.is(error.code, "GROUP_FAILED");
  assert.match(error.message, /rank 0 waits for all_reduce f32\[1, 6\] of rank 1/);
  links[1]?.close();
});

test("who has another key, another count or the same index is not let in, and who is missing is named", async () => {
  const address = await freeAddress();
  const join = (index: number, key: string) =>
    joinProcesses({ address, index, count: 2, key, timeout: 20_000 });
  const first = join(0, KEY);
  const stranger = await failure(join(1, "guessed"));
  assert.is(stranger.code, "GROUP_FAILED");
  assert.match(stranger.message, /refused the connection/);
  for (const link of await Promise.all([first, join(1, KEY)])) link.close();

  const alone = { address: await freeAddress(), index: 0, count: 2, key: KEY, timeout: 100 };
  const missing = await failure(joinProcesses(alone));
  assert.is(missing.code, "GROUP_FAILED");
  assert.match(missing.message, /Of 2 processes 1 did not join within 100 ms/);

  const other = await freeAddress();
  const ends = await Promise.all([
    failure(joinProcesses({ address: other, index: 0, count: 2, key: KEY, timeout: 20_000 })),
    failure(joinProcesses({ address: other, index: 1, count: 3, key: KEY, timeout: 20_000 })),
  ]);
  assert.match(ends[0]?.message ?? "", /says that it is process 1 of 3; this is 0 of 2/);
});

/** As frames are on the wire. */
function frame(header: string): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(header.length, 0);
  return Buffer.concat([prefix, Buffer.from(header)]);
}

test("strangers at the port change nothing, and are sent away", async () => {
  const address = await freeAddress();
  const port = Number(address.split(":")[1]);
  const join = (index: number) => joinProcesses({ address, index, count: 2, key: KEY, timeout: 10_000 });
  const first = join(0);
  const said = [
    ...["null", "5", "[]", "{}", '{"type":"hello"}', '{"type":"hello","key":{}}', "{"].map(frame),
    // Whoever writes it down again has no stack for it.
    frame(`{"type":"hello","index":${"[".repeat(30_000)}${"]".repeat(30_000)}}`),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    Buffer.alloc(1 << 17, 255),
    Buffer.of(1, 0, 0),
    // Far more than are borne with at a time.
    ...new Array<Buffer>(200).fill(Buffer.alloc(0)),
  ];
  const closed = said.map(
    (bytes) =>
      new Promise<void>((resolve) => {
        const socket: Socket = connect(port, "127.0.0.1", () => socket.write(bytes));
        socket.on("error", () => {});
        socket.on("data", () => {});
        socket.on("close", () => resolve());
      }),
  );
  const links = await Promise.all([first, join(1)]);
  await Promise.all(closed);
  for (const link of links) link.close();
});

test("the key is not sent, and who repeats what was said is not let in", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const heard: Buffer[] = [];
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.write(frame('{"type":"challenge","nonce":"1"}'));
    socket.on("data", (piece) => {
      heard.push(piece);
      socket.write(frame('{"type":"welcome","proof":"guessed"}'));
    });
  });
  const options = { count: 2, key: KEY, timeout: 5000 };
  const fooled = await failure(joinProcesses({ ...options, address: `127.0.0.1:${port}`, index: 1 }));
  server.close();
  assert.is(fooled.code, "GROUP_FAILED");
  assert.match(fooled.message, /Process 0 of the group refused the connection/);
  const hello = Buffer.concat(heard);
  assert.match(hello.toString(), '"type":"hello"');
  assert.not.match(hello.toString(), KEY);

  const address = await freeAddress();
  const first = joinProcesses({ ...options, address, index: 0 });
  const answer = await new Promise<string>((resolve) => {
    const pieces: Buffer[] = [];
    const socket = connect(Number(address.split(":")[1]), "127.0.0.1", () => socket.write(hello));
    socket.on("error", () => {});
    socket.on("data", (piece) => pieces.push(piece));
    socket.on("close", () => resolve(Buffer.concat(pieces).toString()));
  });
  assert.match(answer, '"type":"challenge"');
  assert.not.match(answer, '"type":"welcome"');
  const links = await Promise.all([first, joinProcesses({ ...options, address, index: 1 })]);
  for (const link of links) link.close();
});

test("what joins processes is one model's", async () => {
  const { checkpointDir } = goldenCases("glm4v-tiny")[0] as ReturnType<typeof goldenCases>[number];
  const [processes] = await joinAll(1);
  const load = () => loadModel(checkpointDir, { backend: "reference", parallel: { tensor: 1, processes } });
  const model = await load();
  const during = await failure(load());
  await model.dispose();
  for (const error of [during, await failure(load())]) {
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, /parallel.processes has been another model's/);
  }
});

test("a process that can not load the model does not keep the others waiting", async () => {
  const { checkpointDir, messages } = goldenCases("glm4v-tiny")[0] as ReturnType<typeof goldenCases>[number];
  const links = await joinAll(2);
  const ends = await Promise.all(
    links.map(async (processes, index) => {
      const dir = index === 0 ? checkpointDir : "nowhere";
      const load = loadModel(dir, { backend: "reference", parallel: { tensor: 2, processes } });
      return failure(load.then((model) => model.complete(messages as never)));
    }),
  );
  assert.equal(
    ends.map(({ code }) => code),
    ["GROUP_FAILED", "CHECKPOINT_NOT_FOUND"],
  );
  assert.match(ends[0]?.message ?? "", /process 1 has ended/);
});

test("a share of what is free, another in each process, is refused for their KV cache", async () => {
  const { checkpointDir } = goldenCases("glm4v-tiny")[0] as ReturnType<typeof goldenCases>[number];
  const [processes] = await joinAll(1);
  const options = {
    backend: "reference",
    kvCache: { fraction: 0.5 },
    parallel: { tensor: 1, processes },
  } as const;
  const error = await failure(loadModel(checkpointDir, options));
  assert.is(error.code, "OPTION_INVALID");
  assert.match(error.message, /several processes.*give bytes/);
});

test("options of joining are checked", async () => {
  const good = { address: "127.0.0.1:1", index: 0, count: 2, key: KEY };
  for (const [options, message] of [
    [{ ...good, address: "nowhere" }, /address is "nowhere", expected a host and a port/],
    [{ ...good, index: 2 }, /index is 2, expected one of 0..1/],
    [{ ...good, count: 0 }, /count is 0/],
    [{ ...good, key: "" }, /key is missing/],
    [{ ...good, address: "10.0.0.1:0" }, /address is "10.0.0.1:0", expected a host and a port/],
    [{ ...good, timeout: Number.NaN }, /timeout is NaN/],
  ] as const) {
    const error = await failure(joinProcesses(options));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, message);
  }
});

/** What `dist/index.js` answers in a process of its own. */
function answerElsewhere(options: object, dir: string, messages: unknown): Promise<string> {
  const script = `
    import { joinProcesses, loadModel } from ${JSON.stringify(`${process.cwd()}/dist/index.js`)};
    const { join, parallel } = ${JSON.stringify(options)};
    const processes = await joinProcesses(join);
    const model = await loadModel(${JSON.stringify(dir)}, { backend: "reference", media: "huggingface", parallel: { ...parallel, processes } });
    const { tokenIds } = await model.complete(${JSON.stringify(messages)}, { maxTokens: 8, repetitionPenalty: 1 });
    console.log(JSON.stringify(tokenIds));
    await model.dispose();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const out: Buffer[] = [];
  child.stdout.on("data", (piece) => out.push(piece));
  return new Promise((resolve) => child.on("close", () => resolve(Buffer.concat(out).toString())));
}

for (const [count, parallel] of [
  [2, { tensor: 2 }],
  [2, { pipeline: 2 }],
  [2, { tensor: 2, pipeline: 2 }],
  [2, { encoder: "stage" }],
  [3, { tensor: 2, encoder: "stage" }],
] as const) {
  test(`${count} processes answer as one device does: ${JSON.stringify(parallel)}`, async () => {
    const golden = goldenCases("glm4v-tiny").find(({ imageGridThw }) => imageGridThw.length === 1);
    assert.ok(golden);
    const model = await loadModel(golden.checkpointDir, { backend: "reference", media: "huggingface" });
    const options = { maxTokens: 8, repetitionPenalty: 1 };
    const { tokenIds } = await model.complete(golden.messages as never, options);
    await model.dispose();
    const address = await freeAddress();
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        answerElsewhere(
          { join: { address, index, count, key: KEY }, parallel },
          golden.checkpointDir,
          golden.messages,
        ),
      ),
    );
    for (const answer of answers) assert.equal(JSON.parse(answer), tokenIds);
  });
}

test.run();
