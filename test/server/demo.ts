/** A server over the demo checkpoint, and the request that it reads a picture by. */
import { readFileSync } from "node:fs";
import { type LoadOptions, loadModel, type Model } from "../../src/index.ts";

export const loadDemo = (options: LoadOptions = {}): Promise<Model> =>
  loadModel("examples/demo/checkpoint", { backend: "wasm", threads: 1, ...options });

const picture = (name: string) => readFileSync(`examples/demo/pictures/${name}`).toString("base64");
export const pictureUrl = (name = "hello.png") => `data:image/png;base64,${picture(name)}`;

/** What the demo was trained to be asked. */
export const readingOf = (url: string) => [
  {
    role: "user" as const,
    content: [
      { type: "image_url" as const, image_url: { url } },
      { type: "text" as const, text: "Text Recognition:" },
    ],
  },
];

export const post = (path: string, body: unknown, headers: Record<string, string> = {}): Request =>
  new Request(`http://localhost${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
