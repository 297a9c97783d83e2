// Asks a checkpoint about a video and streams the answer:
//   node examples/node/video.mjs MODEL VIDEO [QUESTION]
// VIDEO is an animated GIF, WebP or PNG, a directory of numbered frames, or, after `npm install @napi-rs/webcodecs`,
// an MP4 or WebM file.
import { loadModel } from "glimt";

const [location, video, question = "What happens in this video?"] = process.argv.slice(2);
if (!location || !video) {
  console.error("usage: node video.mjs MODEL VIDEO [QUESTION]");
  process.exit(1);
}

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());

const model = await loadModel(location, { signal: interrupted.signal });
try {
  const content = [
    // fps, sampleFrames and metadata may stand here too.
    { type: "video", video, maxFrames: 32 },
    { type: "text", text: question },
  ];
  const { signal } = interrupted;
  const inputs = await model.process([{ role: "user", content }], {
    signal,
    onProgress: ({ share }) => process.stderr.write(`\rreading frames ${Math.floor(100 * share)} %`),
  });
  const [[frames, height, width]] = inputs.videoGridThw;
  process.stderr.write(`\r${frames} frame pairs of ${height} x ${width} patches\n`);
  for await (const { text } of model.generate(inputs, { maxTokens: 256, signal })) {
    process.stdout.write(text);
  }
  process.stdout.write("\n");
} finally {
  await model.dispose();
}
