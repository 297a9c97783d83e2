/**
 * Damages files at random and reads them, for as long as it is told:
 *
 *   npm run fuzz -- [--minutes 10] [--reader NAME] [--seed N] [--index N]
 *
 * Every reader of what strangers send gets the same share of the time. Whatever is no GlimtError, takes too long, or takes
 * its process down is printed with the seed and the index that make it again (`--reader NAME --seed N --index I` reads
 * just that one), and its file is kept in build/fuzz.
 */
import { fork } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as esbuild from "esbuild";
import { bundleDefaults } from "../../build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** Of one file. */
const SLOW_MS = 3_000;
/** Memory of a process: far more than any of these small files is worth. */
const HEAP_MB = 1_500;
const BATCH = 200;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    reader: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    index: { type: "string" },
  },
});
const seed = Number(values.seed);
const milliseconds = Number(values.minutes) * 60_000;
const index = values.index === undefined ? undefined : Number(values.index);
if (!Number.isInteger(seed) || !Number.isInteger(index ?? 0) || !(milliseconds > 0))
  throw new Error("--seed and --index are whole numbers, --minutes is one above 0");

const child = join(root, "build/fuzz/child.js");
mkdirSync(dirname(child), { recursive: true });
await esbuild.build({
  ...bundleDefaults,
  splitting: false,
  entryPoints: { child: "test/fuzz/child.ts" },
  outdir: dirname(child),
  sourcemap: true,
  packages: undefined,
});

/** A process that answers one order after another; null when it died or was ended for being slow. */
class Worker {
  #process;
  ask(order, limit) {
    this.#process ??= fork(child, [], {
      cwd: root,
      execArgv: ["--enable-source-maps", `--max-old-space-size=${HEAP_MB}`],
    });
    const running = this.#process;
    return new Promise((resolve) => {
      const end = (answer) => {
        clearTimeout(timer);
        running.removeAllListeners();
        if (answer === null) {
          running.kill("SIGKILL");
          this.#process = undefined;
        }
        resolve(answer);
      };
      const timer = setTimeout(() => end(null), limit);
      running.once("message", end);
      running.once("exit", () => end(null));
      running.send(order);
    });
  }
  end() {
    this.#process?.kill();
  }
}

const workers = Array.from({ length: availableParallelism() }, () => new Worker());
const { names, empty } = await workers[0].ask("names", 60_000);
for (const name of empty) console.log(`${name}: nothing to damage`);
const readers = names.filter((name) => !empty.includes(name) && (values.reader ?? name) === name);
if (readers.length === 0)
  throw new Error(`there is no reader "${values.reader}"; there are ${names.join(", ")}`);

const found = [];
const totals = new Map(
  readers.map((name) => [
    name,
    { accepted: 0, refused: 0, seconds: 0, next: 0, slowest: { milliseconds: 0 } },
  ]),
);

function tell(reader, index, what) {
  found.push({ reader, index });
  console.log(`WRONG ${reader} --seed ${seed} --index ${index}: ${what}`);
}

/** A batch that did not come back, file by file. */
async function findCulprit(worker, reader, first, count) {
  for (let index = first; index < first + count; index++) {
    const report = await worker.ask({ reader, seed, first: index, count: 1 }, SLOW_MS * 4);
    if (report === null) tell(reader, index, "it took its process down, or did not end");
    else take(reader, report);
  }
}

function take(reader, { accepted, refused, slowest, wrong }) {
  const total = totals.get(reader);
  total.accepted += accepted;
  total.refused += refused;
  if (slowest.milliseconds > total.slowest.milliseconds) total.slowest = slowest;
  if (slowest.milliseconds > SLOW_MS)
    tell(reader, slowest.index, `it took ${Math.round(slowest.milliseconds)} ms`);
  for (const { index, what } of wrong) tell(reader, index, what);
}

if (index !== undefined) {
  const keep = join(root, `build/fuzz/${readers[0].replaceAll(" ", "-")}-${seed}-${index}`);
  const order = { reader: readers[0], seed, first: index, count: 1, keep };
  const report = await workers[0].ask(order, SLOW_MS * 10);
  console.log(keep, report ?? "it took its process down, or did not end");
} else {
  const started = performance.now();
  const share = milliseconds / readers.length;
  const queue = [...readers];
  await Promise.all(
    workers.map(async (worker) => {
      // A reader at a time: the workers take turns at the next, so that each has the same share of all of them.
      for (let reader = queue.shift(); reader !== undefined; reader = queue.shift()) {
        const total = totals.get(reader);
        const begun = performance.now();
        const own = share * workers.length;
        while (performance.now() - begun < own) {
          const first = total.next;
          total.next += BATCH;
          const report = await worker.ask({ reader, seed, first, count: BATCH }, SLOW_MS * 10);
          if (report === null) await findCulprit(worker, reader, first, BATCH);
          else take(reader, report);
        }
        total.seconds = (performance.now() - begun) / 1000;
        const count = total.accepted + total.refused;
        console.log(
          `${reader.padEnd(26)} ${String(count).padStart(8)} read, ${String(total.accepted).padStart(7)} accepted, ` +
            `${Math.round(count / total.seconds)} a second, slowest ${Math.round(total.slowest.milliseconds)} ms`,
        );
      }
    }),
  );
  const sum = [...totals.values()].reduce((all, { accepted, refused }) => all + accepted + refused, 0);
  const minutes = (performance.now() - started) / 60_000;
  console.log(`${sum} files in ${minutes.toFixed(1)} minutes, seed ${seed}: ${found.length} wrong`);
}
for (const worker of workers) worker.end();
process.exitCode = found.length > 0 ? 1 : 0;
