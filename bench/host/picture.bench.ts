/** A picture's way from RGB bytes to the vision tower's rows: time on the JavaScript thread, and memory beside the rows. */
import { parseProcessorConfig } from "../../src/config/processor-config.ts";
import { openProcessor } from "../../src/index.ts";
import { processImage } from "../../src/processor/image.ts";
import { glm4vPreprocessor } from "../../test/config/released.ts";
import { fastest, noise, row } from "../kernels.ts";

const { image: config } = parseProcessorConfig(glm4vPreprocessor);
console.log(row("", "ms", "MB beside"));
for (const [width, height] of [
  [1036, 1036],
  [4000, 3000],
] as const) {
  const name = `picture of ${width} x ${height}`;
  const image = {
    width,
    height,
    data: Uint8Array.from(noise(width * height * 3), (value) => 128 + 127 * value),
  };
  const before = bufferBytes();
  const { pixelValues } = await processImage(image, config);
  const beside = (bufferBytes() - before - pixelValues.byteLength) / 1e6;
  console.log(row(name, 1000 * (await fastest(name, () => processImage(image, config), 3)), beside));
}

const processor = await openProcessor("examples/demo/checkpoint", {});
const data = new Uint8Array(3 * 2000 * 2000).fill(128);
const image = { type: "image", image: { width: 2000, height: 2000, channels: 3, data } } as const;
await settle();
const before = bufferBytes();
const inputs = await processor.process([{ role: "user", content: [image, image] }]);
await settle();
console.log(row("two pictures of 2000 x 2000, held", "", (bufferBytes() - before) / 1e6));
const joined = inputs.pixelValues?.byteLength ?? 0;
console.log(row(`  with their join of ${(joined / 1e6).toFixed(1)} MB`, "", (bufferBytes() - before) / 1e6));

/** Until what nobody holds is collected and its memory is given back. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Of arrays and WebAssembly memories that are not collected yet. */
function bufferBytes(): number {
  return process.memoryUsage().external;
}
