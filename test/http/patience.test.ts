/** How long something that gives nothing, or next to nothing, is waited for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { Patience } from "../../src/http/patience.ts";

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const limit = { what: "host/file", idle: 40, option: "checkpointTimeout" };

/** What it ends with while `use` goes on, and after how many milliseconds. */
async function ended(use: (patience: Patience) => void): Promise<{ error: GlimtError; after: number }> {
  const start = performance.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  try {
    const error = await new Promise<GlimtError>((resolve) => {
      const patience = new Patience(limit, resolve);
      timer = setInterval(() => use(patience), 5);
    });
    return { error, after: performance.now() - start };
  } finally {
    clearInterval(timer);
  }
}

test("silence ends it", async () => {
  const { error, after } = await ended(() => {});
  assert.is(error.code, "TIMED_OUT");
  assert.is(
    error.message,
    "host/file gave nothing for 40 ms; raise the option checkpointTimeout if it is only slow.",
  );
  assert.ok(after >= 40, `${after}`);
});

test("what is heard all the time ends after ten times as long", async () => {
  const { error, after } = await ended((patience) => patience.heard());
  assert.is(error.code, "TIMED_OUT");
  assert.match(error.message, /^host\/file is not read after 400 ms, 10 times the option checkpointTimeout;/);
  assert.ok(after >= 400, `${after}`);
});

test("a thread that is busy again and again still hears what came meanwhile", async () => {
  const errors: GlimtError[] = [];
  const patience = new Patience(limit, (error) => errors.push(error));
  for (let i = 0; i < 4; i++) {
    const until = performance.now() + 150;
    while (performance.now() < until);
    await pause(5);
  }
  patience.heard();
  patience.end();
  assert.equal(errors, []);
});

test("nothing comes of it once it is ended", async () => {
  let calls = 0;
  const patience = new Patience({ ...limit, idle: 1 }, () => calls++);
  await pause(10);
  patience.end();
  await pause(150);
  assert.is(calls, 0);
});

test.run();
