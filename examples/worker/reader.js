// A model in a worker of one's own, beside what else the worker does. It is told { model } once, then { id, image, question },
// and answers { id, text } as text comes, { id, done: true } at the end, or { id, error }.
//
// A page does not need this to stay smooth: there `loadModel` puts the model in a worker by itself.
import { loadModel } from "glimt";

let model;

async function answer({ id, image, question }) {
  const content = [
    { type: "image", image },
    { type: "text", text: question },
  ];
  for await (const { text } of (await model).generate([{ role: "user", content }], { maxTokens: 1024 })) {
    postMessage({ id, text });
  }
}

addEventListener("message", async ({ data }) => {
  if (data.model !== undefined) {
    model = loadModel(data.model);
    return;
  }
  const { id } = data;
  try {
    await answer(data);
    postMessage({ id, done: true });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
});
