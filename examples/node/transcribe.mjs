// Reads every picture of a folder; one JSON line each, {"file", "text"}, or {"file", "error"} for what is no picture:
//   node examples/node/transcribe.mjs MODEL FOLDER > answers.jsonl
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "glimt";

const [location, folder] = process.argv.slice(2);
if (!location || !folder) {
  console.error("usage: node transcribe.mjs MODEL FOLDER");
  process.exit(1);
}

const model = await loadModel(location);
try {
  for (const file of readdirSync(folder)
    .filter((name) => /\.(png|jpe?g|webp|gif|tiff?|bmp)$/i.test(name))
    .sort()) {
    const content = [
      { type: "image", image: join(folder, file) },
      { type: "text", text: "Text Recognition:" },
    ];
    try {
      const { text } = await model.complete([{ role: "user", content }], { maxTokens: 512 });
      console.log(JSON.stringify({ file, text }));
    } catch (error) {
      // The model stays usable; what is not about this picture ends the script.
      if (!error.code?.startsWith("IMAGE_")) throw error;
      console.log(JSON.stringify({ file, error: error.message }));
      process.exitCode = 1;
    }
  }
} finally {
  await model.dispose();
}
