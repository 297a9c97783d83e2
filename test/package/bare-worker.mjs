/** A worker that has only what browsers have, and answers the demo's question with the edge build. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { answer, CHECKPOINT, PICTURE } from "../browser/answer.mjs";

const files = new Map(
  readdirSync(CHECKPOINT).map((name) => [name, new Blob([readFileSync(join(CHECKPOINT, name))])]),
);
const picture = new Blob([readFileSync(PICTURE)]);

for (const name of ["process", "Buffer", "global", "setImmediate", "clearImmediate"]) delete globalThis[name];
const { loadModel } = await import("../../dist/edge.js");
parentPort.postMessage(await answer(loadModel, files, picture));
