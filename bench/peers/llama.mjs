/**
 * llama.cpp, as node-llama-cpp brings it prebuilt for this machine: `node llama.mjs FILE.gguf [TYPE]`, with a cache in F16 or
 * another type.
 *
 * The context's native object is called directly: what is timed is llama_decode alone, without sampling and without the
 * queue that the package has before it.
 */
import { serve, stopwatch } from "./child.mjs";

const [file, cacheType = "F16"] = process.argv.slice(2);
const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");

/** Tokens that it takes in one go, as many as glimt does. */
const BATCH = 512;

const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: 0,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const sampler = new llama._bindings.AddonSampler(model._model);
sampler.applyConfig({ temperature: 0 });
let current;

/** A context for so many tokens, kept until another number of threads or more tokens are asked for. */
async function context(threads, tokens) {
  const size = Math.ceil(tokens / BATCH) * BATCH;
  if (current?.threads !== threads || current.size < size) {
    await current?.owner.dispose();
    const owner = await model.createContext({
      threads,
      contextSize: size,
      batchSize: BATCH,
      sequences: 1,
      experimentalKvCacheKeyType: cacheType,
      experimentalKvCacheValueType: cacheType,
    });
    current = { owner, native: owner._ctx, threads, size };
    if (current.native.getThreads() !== threads) {
      throw new Error(`llama.cpp takes ${current.native.getThreads()} threads, not ${threads}`);
    }
  }
  return current.native;
}

/** The time of llama_decode, and where the logits of the last token are. */
async function decode(native, ids, first) {
  native.initBatch(ids.length);
  const [row] = native.addToBatch(0, first, Uint32Array.from(ids), Uint32Array.of(ids.length - 1));
  const elapsed = stopwatch();
  await native.decodeBatch();
  return { time: elapsed(), row };
}

async function prefill(native, ids) {
  if (!native.removeTokenCellsFromSequence(0, 0, -1)) throw new Error("the cache can not be emptied");
  const times = [];
  let row;
  for (let first = 0; first < ids.length; first += BATCH) {
    const done = await decode(native, ids.slice(first, first + BATCH), first);
    times.push(done.time);
    row = done.row;
  }
  const total = (key) => times.reduce((sum, time) => sum + time[key], 0);
  return { time: { ms: total("ms"), cpuMs: total("cpuMs") }, row };
}

await serve({
  about: async () => ({
    about: `llama.cpp ${llama.llamaCppRelease.release} of node-llama-cpp, ${llama.systemInfo.replaceAll(" = 1 |", "").trim()}`,
  }),

  prefill: async ({ ids, threads }) => ({
    times: [(await prefill(await context(threads, ids.length), ids)).time],
  }),

  /** `steps` tokens after `ids`: its own choices, or those of `forced`. */
  decode: async ({ ids, steps, threads, forced }) => {
    const native = await context(threads, ids.length + steps);
    let { row } = await prefill(native, ids);
    const times = [];
    const tokens = [];
    for (let step = 0; step < steps; step++) {
      tokens.push(await native.sampleToken(row, sampler));
      const done = await decode(native, [forced?.[step] ?? tokens.at(-1)], ids.length + step);
      times.push(done.time);
      row = done.row;
    }
    return { times, tokens };
  },
});
