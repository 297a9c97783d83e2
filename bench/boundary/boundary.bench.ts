/** What it costs that pictures are parsed in a worker: a page decoded here, by a worker that waits, and by a new one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Bench } from "tinybench";
import { decodeImage } from "../../src/media/decode-image.ts";
import { inlineTasks, type MediaWorkers } from "../../src/media/media-workers.ts";
import type { MediaTasks } from "../../src/media/tasks.ts";
import { packageFile } from "../../src/package-files.ts";
import { startFrom } from "../../src/workers/node-threads.node.ts";
import { Workers } from "../../src/workers/workers.ts";
import { row } from "../kernels.ts";
import { HEIGHT, jpegPage, pngPage, WIDTH } from "./page.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "worker.mjs");
writeFileSync(file, (await packageFile("worker.js")) as string);
const workers = (): MediaWorkers =>
  new Workers<MediaTasks>({
    starts: [startFrom(file)],
    version: GLIMT_VERSION,
    file: packageFile,
    inline: inlineTasks,
  });

const waiting = workers();
const ways: readonly [name: string, workers: () => MediaWorkers | undefined][] = [
  ["on this thread", () => undefined],
  ["by a worker that waits", () => waiting],
  ["by a new worker", workers],
];

console.log(row(`${WIDTH} x ${HEIGHT}`, "ms", "ms of this thread"));
for (const [format, bytes] of [
  ["JPEG", jpegPage()],
  ["PNG", pngPage()],
] as const) {
  const expected = await decodeImage(bytes);
  for (const [name, choose] of ways) {
    const read = () => decodeImage(bytes, { workers: choose() });
    const { data } = await read();
    if (Buffer.compare(data, expected.data) !== 0) throw new Error(`${format} ${name}: other pixels`);
    const bench = new Bench({ time: 800, warmup: false });
    let busy = 0;
    bench.add(name, async () => {
      const before = performance.eventLoopUtilization();
      await read();
      busy += performance.eventLoopUtilization(before).active;
    });
    const [task] = await bench.run();
    const result = task?.result;
    if (result?.state !== "completed") throw new Error(`${name} did not run`);
    const { p50, samplesCount } = result.latency;
    const label = `${format} of ${Math.round(bytes.length / 1e3)} kB, ${name}`;
    console.log(row(label, p50, busy / samplesCount));
  }
}
