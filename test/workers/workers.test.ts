/** What runs in a worker can be ended, whatever it does, and leaves nothing behind. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { callOptions as decodingCall } from "../../src/media/media-workers.ts";
import * as threads from "../../src/workers/node-threads.node.ts";
import type { CallOptions } from "../../src/workers/task.ts";
import type { StartThread } from "../../src/workers/thread.ts";
import { Workers, type WorkersOptions } from "../../src/workers/workers.ts";
import { type BadTasks, badTasks } from "./bad-tasks.ts";
import workerText from "./worker-entry.ts?text";

/** Threads that were started and have not ended. */
let live = 0;
let mostLive = 0;
const counted =
  (start: StartThread): StartThread =>
  async (events) => {
    let hasEnded = false;
    live += 1;
    mostLive = Math.max(mostLive, live);
    const leave = () => {
      live -= hasEnded ? 0 : 1;
      hasEnded = true;
    };
    try {
      const thread = await start({
        message: events.message,
        ended: (reason, cause) => {
          leave();
          events.ended(reason, cause);
        },
      });
      return thread;
    } catch (error) {
      leave();
      throw error;
    }
  };

const fromText = counted(threads.startText(async () => workerText));

const noInline = () => Promise.reject(new Error("the test needs a worker"));

function workers(options: Partial<WorkersOptions<BadTasks>> = {}): Workers<BadTasks> {
  return new Workers({ starts: [fromText], version: "test", inline: noInline, ...options });
}

const errors: CallOptions["errors"] = {
  late: (milliseconds) => new GlimtError("TIMED_OUT", `not within ${milliseconds} ms`),
  died: (reason, cause) => new GlimtError("IMAGE_INVALID", `gone: ${reason}`, { cause }),
  failed: (cause) => new GlimtError("IMAGE_INVALID", `failed: ${(cause as Error).message}`, { cause }),
};
const call: CallOptions = { errors };

async function failure(task: Promise<unknown>): Promise<GlimtError> {
  const error = await task.then(
    () => assert.unreachable("no error"),
    (error) => error,
  );
  assert.instance(error, GlimtError, String(error?.stack ?? error));
  return error;
}

async function allEnded(): Promise<void> {
  for (let waited = 0; live > 0 && waited < 60_000; waited += 20) await pause(20);
  assert.is(live, 0, "threads are left");
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test("input that is handed over moves, other input is copied, results come back", async () => {
  const pool = workers();
  const [moved, kept] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4)];
  assert.equal([...(await pool.run("double", moved, { errors, transfer: [moved.buffer] }))], [2, 4]);
  assert.is(moved.length, 0);
  assert.equal([...(await pool.run("double", kept, call))], [6, 8]);
  assert.equal([...kept], [3, 4]);
});

test("an error keeps its code, message and cause", async () => {
  const error = await failure(workers().run("refuse", undefined, call));
  assert.is(error.code, "IMAGE_INVALID");
  assert.is(error.message, "It is no picture.");
  assert.is((error.cause as Error).name, "RangeError");
  assert.is((error.cause as Error).message, "past the end");
});

test("other errors, and input that can not be sent, are the caller's to put into words", async () => {
  for (const options of [{}, { starts: [], inline: async () => badTasks }]) {
    const error = await failure(workers(options).run("stumble", undefined, call));
    assert.match(error.message, /^failed: .*undefined/);
    assert.match((error.cause as Error).stack ?? "", /stumble/);
  }
  const error = await failure(workers().run("double", (() => {}) as never, call));
  assert.match(error.message, /^failed: [\s\S]*could not be cloned/);
});

test("a worker asks its starter for files that it has not, and hears why one can not be had", async () => {
  let asked = 0;
  const file = async (name: string) => {
    asked += 1;
    if (name === "codec" && asked > 1) return { text: "packed", size: 6 };
    throw new GlimtError("CODEC_UNAVAILABLE", `${name} could not be loaded`);
  };
  const pool = workers({ file });
  const error = await failure(pool.run("askFile", "codec", call));
  assert.is(error.code, "CODEC_UNAVAILABLE");
  assert.is(error.message, "codec could not be loaded");
  assert.equal(await pool.run("askFile", "codec", call), { text: "packed", size: 6 });
});

test("an abort ends a task that never gives its thread back", async () => {
  const pool = workers();
  await pool.run("wait", 0, call);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 100);
  const error = await failure(pool.run("spin", undefined, { ...call, signal: controller.signal }));
  assert.is(error.code, "ABORTED");
  assert.is((error.cause as Error).message, "enough");
  assert.is(await pool.run("wait", 0, call), "waited");
});

test("so does a deadline", async () => {
  const pool = workers();
  await pool.run("wait", 0, call);
  const error = await failure(pool.run("spin", undefined, { ...call, timeout: 100 }));
  assert.is(error.message, "not within 100 ms");
  assert.is(await pool.run("wait", 0, call), "waited");
});

test("an answer that lies ready is not late because the asking thread was busy", async () => {
  const pool = workers();
  await pool.run("wait", 0, call);
  const answers = new Int32Array(new SharedArrayBuffer(4));
  const answer = pool.run("count", answers, { ...call, timeout: 100 });
  await pause(0);
  while (Atomics.load(answers, 0) === 0);
  // What it answered is sent meanwhile, and the time is up.
  for (const start = performance.now(); performance.now() - start < 300; );
  assert.is(await answer, "counted");
});

for (const kind of ["objects", "push", "map"] as const) {
  test(`memory without end is an error: ${kind}`, async () => {
    const pool = workers();
    const error = await pool.run("fill", kind, { ...call, timeout: 60_000 }).catch((error) => error);
    if (kind === "objects") assert.match(error.message, /^gone: it took more than \d+ MB/);
    else assert.match(error.message, /^failed: a list or map of more than \d+ entries/);
    assert.is(await pool.run("wait", 0, call), "waited");
  });
}

test("a file that is too much for the worker's heap is no damaged one", async () => {
  for (const noun of ["Image", "Video"] as const) {
    const asked = decodingCall(noun, "bomb", { decodeTimeout: 60_000 });
    const error = await failure(workers().run("fill", "objects", asked));
    assert.is(error.code, "OUT_OF_MEMORY");
    assert.match(error.message, `${noun} bomb takes more memory than there is`);
    assert.match((error.cause as Error).message, /^it took more than \d+ MB$/);
  }
});

for (const how of ["exit", "throw later"] as const) {
  test(`a worker that dies is an error: ${how}`, async () => {
    const pool = workers();
    const error = await failure(pool.run("crash", how, call));
    assert.match(error.message, how === "exit" ? /gone: it ended with code 3/ : /gone: .*out of nowhere/);
    assert.is(await pool.run("wait", 0, call), "waited");
  });
}

test("fifty aborted tasks leave no thread", async () => {
  const pool = workers();
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20 * i);
      const error = await failure(pool.run("spin", undefined, { ...call, signal: controller.signal }));
      assert.is(error.code, "ABORTED");
    }),
  );
  await allEnded();
});

test("calls that are given up while their worker starts leave no more workers than others do", async () => {
  const pool = workers();
  await allEnded();
  mostLive = 0;
  for (let i = 0; i < 20; i++) {
    const controller = new AbortController();
    // It does not end by itself, however early its worker is there.
    const left = failure(pool.run("spin", undefined, { ...call, signal: controller.signal }));
    await pause(2);
    controller.abort();
    assert.is((await left).code, "ABORTED");
  }
  // One that was given up during its task may end after the next has begun.
  assert.ok(mostLive < 6, `${mostLive} workers`);
  assert.is(await pool.run("wait", 0, call), "waited");
});

test("tasks take turns over few workers, and may leave the queue", async () => {
  await allEnded();
  mostLive = 0;
  const pool = workers({ most: 2 });
  const controller = new AbortController();
  const all = Array.from({ length: 6 }, () => pool.run("wait", 30, call));
  const left = failure(pool.run("wait", 30, { ...call, signal: controller.signal }));
  controller.abort();
  assert.is((await left).code, "ABORTED");
  await Promise.all(all);
  assert.is(mostLive, 2);
});

test("an idle worker ends", async () => {
  await allEnded();
  await workers({ idle: 50 }).run("wait", 0, call);
  assert.is(live, 1);
  await pause(40);
  await allEnded();
});

test("a lease keeps its worker until it is released; one that is forgotten is taken back", async () => {
  const pool = workers({ most: 1, forgotten: 300 });
  const lease = await pool.lease(call);
  assert.is(await lease.call("wait", 0, call), "waited");
  // Longer than `forgotten`, but not forgotten.
  assert.is(await lease.call("wait", 400, call), "waited");
  // The pool's timers keep no process alive.
  const alive = setInterval(() => {}, 1000);
  (await pool.lease(call)).release();
  clearInterval(alive);
  assert.ok(lease.isEnded);
  const error = await failure(lease.call("wait", 0, call));
  assert.match(error.message, /nobody asked for it for 0.3 seconds/);
});

test("tasks do not wait for leases", async () => {
  const pool = workers({ most: 1 });
  const lease = await pool.lease(call);
  assert.is(await pool.run("wait", 0, call), "waited");
  assert.not(lease.isEnded);
  lease.release();
});

test("what can not be loaded is passed over quickly, once", async () => {
  let tries = 0;
  const missing: StartThread = (events) => {
    tries += 1;
    return threads.startFrom("/no/such/worker.js")(events);
  };
  const broken = threads.startText(async () => "this is no script");
  const refused: StartThread = () => {
    throw new Error("not allowed");
  };
  const pool = workers({ starts: [refused, missing, broken, fromText], idle: 0 });
  const both = [pool.run("wait", 0, call), pool.run("wait", 0, call)];
  let isLate = false;
  // Half of what one that says nothing is given.
  const timer = setTimeout(() => {
    isLate = true;
  }, 15_000);
  assert.equal(await Promise.all(both), ["waited", "waited"]);
  clearTimeout(timer);
  assert.not(isLate);
  assert.is(await pool.run("wait", 0, call), "waited");
  assert.ok(tries <= 2, `${tries} tries`);
});

test("a script that is no worker of ours is passed over, whatever it says", async () => {
  const stranger = threads.startText(
    async () => `import("node:worker_threads").then(({ parentPort }) => {
      for (const message of ["hello", null, 7]) parentPort.postMessage(message);
      setInterval(() => parentPort.postMessage("tick"), 1);
    });`,
  );
  const pool = workers({ starts: [counted(stranger), fromText] });
  assert.is(await pool.run("wait", 50, call), "waited");
});

test("a worker of another version is not used", async () => {
  const pool = workers({ version: "other", inline: async () => badTasks });
  const told = { isTold: false, isWaiting: false };
  const controller = new AbortController();
  const error = failure(pool.run("untilGivenUp", told, { ...call, signal: controller.signal }));
  while (!told.isWaiting) await pause(10);
  controller.abort();
  assert.is((await error).code, "ABORTED");
  await pause(10);
  // The object of this thread, so the task ran here.
  assert.ok(told.isTold);
});

test("a worker that worked before and does not start any more is an error, not a reason to do without", async () => {
  let isBroken = false;
  const start: StartThread = (events) => {
    if (isBroken) throw new Error("no memory for a thread");
    return fromText(events);
  };
  const pool = workers({ starts: [start], idle: 0 });
  await pool.run("wait", 0, call);
  await allEnded();
  isBroken = true;
  assert.match((await failure(pool.run("wait", 0, call))).message, /no worker could be started/);
  isBroken = false;
  assert.is(await pool.run("wait", 0, call), "waited");
});

test("without workers tasks run here, and abort and deadline stop waiting for them", async () => {
  const pool = workers({ starts: [], inline: async () => badTasks });
  assert.equal([...(await pool.run("double", Uint8Array.of(1), call))], [2]);
  const told = { isTold: false, isWaiting: false };
  const late = await failure(pool.run("untilGivenUp", told, { ...call, timeout: 20 }));
  assert.is(late.code, "TIMED_OUT");
  await pause(0);
  assert.ok(told.isTold, "the task was told");
  const controller = new AbortController();
  const aborted = failure(pool.run("wait", 10_000, { ...call, signal: controller.signal }));
  controller.abort();
  assert.is((await aborted).code, "ABORTED");
  assert.is(await pool.run("wait", 0, call), "waited");
});

test("nothing is left", allEnded);

test.run();
