// Has the model call a tool about a picture, and prints the call, parsed:
//   node examples/node/call-tool.mjs MODEL PICTURE [QUESTION]
// The call is well formed whatever the model has learnt: of the repository's demo checkpoint, which was never taught to call
// tools, only its form makes sense.
import { loadModel } from "glimt";

const [location, image, question = "What does it say?"] = process.argv.slice(2);
if (!location || !image) {
  console.error("usage: node call-tool.mjs MODEL PICTURE [QUESTION]");
  process.exit(1);
}

const saveLine = {
  type: "function",
  function: {
    name: "save_line",
    description: "Keeps a line that was read.",
    parameters: {
      type: "object",
      properties: {
        text: { type: "string", maxLength: 40 },
        kind: { type: "string", enum: ["words", "numbers"] },
        row: { type: "integer", minimum: 1, maximum: 99 },
      },
      required: ["text", "kind", "row"],
    },
  },
};

const model = await loadModel(location);
try {
  const content = [
    { type: "image", image },
    { type: "text", text: question },
  ];
  const { toolCalls } = await model.complete([{ role: "user", content }], {
    tools: [saveLine],
    toolChoice: { name: "save_line" },
    thinkingBudget: 0,
    maxTokens: 200,
  });
  for (const { name, arguments: text } of toolCalls) console.log(name, JSON.parse(text));
} finally {
  await model.dispose();
}
