/**
 * What pruning a video saves: `npm run bench -- video-pruning [--checkpoint DIR] [--dtype q8] [--frames 12] [--grid 32x32]
 * [--rates 0,0.5,0.75]`, by default the demo. The video is features (as encodeVideos gives them), half of whose places stand
 * still, so that the tower, which computes the same whatever is left out, takes no time: what is timed is to tell what is
 * left, and to read the prompt up to the first token. The fastest of several rounds, in which all rates take turns.
 */
import { parseArgs } from "node:util";
import { type LoadOptions, loadModel, type Model } from "../src/index.ts";
import { row } from "./kernels.ts";

const { values: flags } = parseArgs({
  options: {
    checkpoint: { type: "string", default: "examples/demo/checkpoint" },
    dtype: { type: "string" },
    frames: { type: "string", default: "12" },
    grid: { type: "string", default: "16x16" },
    rates: { type: "string", default: "0,0.5,0.75" },
    rounds: { type: "string", default: "3" },
  },
});
const frames = Number(flags.frames);
const [height, width] = flags.grid.split("x").map(Number) as [number, number];

const models = new Map<number, Model>();
for (const rate of flags.rates.split(",").map(Number)) {
  const dtype = flags.dtype as LoadOptions["dtype"];
  models.set(
    rate,
    await loadModel(flags.checkpoint, { backend: "wasm", dtype, videoPruning: rate, prefixCache: false }),
  );
}
const [[, { config }]] = models as unknown as [[number, Model]];
const prompt = promptOf(config);
const fastest = new Map<number, { tokens: number; prune: number; prefill: number }>();
for (let round = -1; round < Number(flags.rounds); round++) {
  for (const [rate, model] of models) {
    const { usage, timings } = await model.complete(prompt, { maxTokens: 1 });
    const before = fastest.get(rate);
    const found = { tokens: usage.promptTokens, prune: timings.vision, prefill: timings.prefill };
    if (round < 0) continue;
    fastest.set(rate, {
      tokens: found.tokens,
      prune: Math.min(found.prune, before?.prune ?? found.prune),
      prefill: Math.min(found.prefill, before?.prefill ?? found.prefill),
    });
  }
}
console.log(row(`${frames} x ${height} x ${width}`, "tokens", "prune, ms", "read, ms", "of whole"));
const whole = fastest.values().next().value as { prefill: number };
for (const [rate, { tokens, prune, prefill }] of fastest) {
  console.log(row(`  ${rate}`, tokens, prune, prefill, (prefill / whole.prefill).toFixed(2)));
}
for (const model of models.values()) await model.dispose();

/** Marks, features and a digit a frame, as a processor lays a video out; positions follow from these. */
function promptOf({ tokens, text, vision }: Model["config"]) {
  const perFrame = (height * width) / vision.spatialMergeSize ** 2;
  const frame = [tokens.imageStart, ...new Array<number>(perFrame).fill(tokens.image), tokens.imageEnd, 5];
  const inputIds = [5, tokens.videoStart, ...new Array(frames).fill(frame).flat(), tokens.videoEnd, 5, 6, 7];
  const videoEmbeddings = new Float32Array(frames * perFrame * text.hiddenSize).map((_, at) => {
    const [place, column] = [Math.floor(at / text.hiddenSize) % perFrame, at % text.hiddenSize];
    const step = place % 2 === 0 ? 0 : Math.floor(at / text.hiddenSize / perFrame);
    return Math.sin((place + 1) * (column + 1) + step * column);
  });
  return { inputIds, videoEmbeddings, videoGridThw: [[frames, height, width]] as [number, number, number][] };
}
