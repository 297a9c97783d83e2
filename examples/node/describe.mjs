// Asks a checkpoint about a picture and streams the answer:
//   node examples/node/describe.mjs MODEL PICTURE [QUESTION]
import { loadModel } from "glimt";

const [location, image, question = "Text Recognition:"] = process.argv.slice(2);
if (!location || !image) {
  console.error("usage: node describe.mjs MODEL PICTURE [QUESTION]");
  process.exit(1);
}

const model = await loadModel(location);
try {
  const content = [
    { type: "image", image },
    { type: "text", text: question },
  ];
  for await (const { text } of model.generate([{ role: "user", content }], { maxTokens: 512 })) {
    process.stdout.write(text);
  }
  process.stdout.write("\n");
} finally {
  await model.dispose();
}
