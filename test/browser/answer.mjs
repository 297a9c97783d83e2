/** What every runtime is asked: the demo's question, the same code in Node, in Chromium and in a bare worker. */
export const CHECKPOINT = "examples/demo/checkpoint";
export const PICTURE = "examples/demo/pictures/hello.png";

const LINE = { type: "string", minLength: 1, maxLength: 12 };
const SCHEMA = { type: "object", properties: { line: LINE, row: { const: 1 } }, required: ["line", "row"] };
const TOOL = {
  type: "function",
  function: {
    name: "save_line",
    parameters: {
      type: "object",
      properties: { line: LINE, row: { type: "integer", minimum: 0, maximum: 9 } },
      required: ["line", "row"],
    },
  },
};

/**
 * As it is, as JSON of a schema, and in a call of a tool.
 *
 * @param loadModel the runtime's entry
 * @param checkpoint where it finds the demo checkpoint
 * @param image where it finds the demo picture
 */
export async function answer(loadModel, checkpoint, image) {
  const model = await loadModel(checkpoint, { backend: "wasm" });
  try {
    const content = [
      { type: "image", image },
      { type: "text", text: "Text Recognition:" },
    ];
    const ask = (options) => model.complete([{ role: "user", content }], { temperature: 0, ...options });
    const { text, tokenIds } = await ask({ maxTokens: 24 });
    const shaped = await ask({ structured: { jsonSchema: SCHEMA }, maxTokens: 60 });
    const called = await ask({ tools: [TOOL], toolChoice: { name: "save_line" }, maxTokens: 80 });
    return {
      text,
      tokenIds: [...tokenIds],
      json: JSON.parse(shaped.text),
      calls: called.toolCalls.map(({ name, arguments: text }) => ({ name, arguments: JSON.parse(text) })),
    };
  } finally {
    await model.dispose();
  }
}
