// Asks a model through the AI SDK (npm install ai@7, Node 22), and prints its answer as it comes, then what it took:
//   node examples/node/ai-sdk.mjs MODEL PICTURE [QUESTION]
import { readFile } from "node:fs/promises";
import { streamText } from "ai";
import { loadModel } from "glimt";
import { languageModel } from "glimt/ai";

const [location, picture, question = "Text Recognition:"] = process.argv.slice(2);
if (!location || !picture) {
  console.error("usage: node ai-sdk.mjs MODEL PICTURE [QUESTION]");
  process.exit(1);
}

const model = await loadModel(location);
try {
  const result = streamText({
    model: languageModel(model),
    messages: [
      {
        role: "user",
        content: [
          { type: "file", mediaType: "image", data: await readFile(picture) },
          { type: "text", text: question },
        ],
      },
    ],
    maxOutputTokens: 512,
    onError: ({ error }) => console.error(error),
  });
  for await (const piece of result.textStream) process.stdout.write(piece);
  const { inputTokens, outputTokens } = await result.usage;
  console.log(`\n${inputTokens} tokens read, ${outputTokens} written`);
} finally {
  await model.dispose();
}
