/** What the built package answers in Node: the expectation of the tests in other runtimes. */
import { pathToFileURL } from "node:url";
import { type Answer, answer, CHECKPOINT, PICTURE } from "./answer.mjs";

export async function answerInNode(): Promise<Answer> {
  // A computed address, so that the bundler leaves the built package alone.
  const { loadModel } = await import(pathToFileURL("dist/index.js").href);
  return answer(loadModel, CHECKPOINT, PICTURE);
}
