/** A picture and a question, as a form sends them, to text that streams. GLIMT_MODEL names another model. */
import { GlimtError, loadModel, type Model } from "glimt";

export const runtime = "nodejs";

const MODEL = process.env.GLIMT_MODEL ?? "zai-org/GLM-OCR";
const MOST_BYTES = 20 * 2 ** 20;

/** Over reloads of this file in development too. */
const shared = globalThis as typeof globalThis & { model?: Promise<Model> | undefined };

function sharedModel(): Promise<Model> {
  shared.model ??= loadModel(MODEL, { sources: "inline", maxSourceBytes: MOST_BYTES });
  // The next request tries again.
  shared.model.catch(() => {
    shared.model = undefined;
  });
  return shared.model;
}

export async function POST(request: Request): Promise<Response> {
  const form = await request.formData().catch(() => new FormData());
  const image = form.get("image");
  if (!(image instanceof Blob))
    return new Response("Send a picture as the form's field image.", { status: 400 });
  const content = [
    { type: "image", image },
    { type: "text", text: String(form.get("question") ?? "Text Recognition:") },
  ] as const;
  const model = await sharedModel();
  const run = model.generate([{ role: "user", content }], {
    maxTokens: 2048,
    specialTokensInText: "text",
    signal: request.signal,
  });
  try {
    // What is wrong with the picture is thrown with the first token.
    const first = await run.next();
    return new Response(textOf(run, first), { headers: { "content-type": "text/plain; charset=utf-8" } });
  } catch (error) {
    if (!(error instanceof GlimtError)) throw error;
    return new Response(error.message, { status: error.code.startsWith("IMAGE_") ? 400 : 500 });
  }
}

type Run = ReturnType<Model["generate"]>;

function textOf(run: Run, first: Awaited<ReturnType<Run["next"]>>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let step: typeof first | undefined = first;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = step ?? (await run.next());
      step = undefined;
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value.text));
    },
    async cancel() {
      await run.return();
    },
  });
}
