/** What every runtime is asked: the demo's question, the same code in Node, in Chromium and in a bare worker. */
export const CHECKPOINT = "examples/demo/checkpoint";
export const PICTURE = "examples/demo/pictures/hello.png";

/**
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
    const { text, tokenIds } = await model.complete([{ role: "user", content }], {
      maxTokens: 24,
      temperature: 0,
    });
    return { text, tokenIds: [...tokenIds] };
  } finally {
    await model.dispose();
  }
}
