// Reads every picture of a folder; one JSON line each, {"file", "text"}:
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
    .filter((name) => /\.(png|jpe?g|webp)$/i.test(name))
    .sort()) {
    const content = [
      { type: "image", image: join(folder, file) },
      { type: "text", text: "Text Recognition:" },
    ];
    const { text } = await model.complete([{ role: "user", content }], { maxTokens: 512 });
    console.log(JSON.stringify({ file, text }));
  }
} finally {
  await model.dispose();
}
