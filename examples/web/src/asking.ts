/** One question about one picture or video: what the model is given, then the answer as it comes. */
import type { GenerationEvent, GenerationResult, MessagePart, Model, ProcessedInputs } from "glimt";
import type { Media } from "./media.ts";

export interface Question {
  readonly media: Media | null;
  readonly text: string;
  /** Most frames of a video. */
  readonly maxFrames: number | undefined;
}

export interface Listener {
  /** What the work before the first token is at, and how far. */
  progress(stage: "media" | "vision" | "prefill", share: number): void;
  /** Before anything is computed: what the model is given. */
  seen(inputs: ProcessedInputs): void;
  token(event: GenerationEvent): void;
}

export interface Answered {
  readonly result: GenerationResult;
  /** Milliseconds from the question to its first token, pictures and all. */
  readonly firstTokenMs: number;
}

const MAX_TOKENS = 2048;

/** @throws what `process` and `generate` do */
export async function ask(
  model: Model,
  question: Question,
  listener: Listener,
  signal: AbortSignal,
): Promise<Answered> {
  const start = performance.now();
  const onProgress = ({
    stage,
    share,
  }: {
    readonly stage: "media" | "vision" | "prefill";
    readonly share: number;
  }) => listener.progress(stage, share);
  const { maxFrames } = question;
  const inputs = await model.process([{ role: "user", content: contentOf(question) }], {
    signal,
    onProgress,
    ...(maxFrames !== undefined && { maxFrames }),
  });
  listener.seen(inputs);
  const run = model.generate(givenTo(inputs), { maxTokens: MAX_TOKENS, attention: true, signal, onProgress });
  let firstTokenMs: number | null = null;
  for await (const event of run) {
    firstTokenMs ??= performance.now() - start;
    listener.token(event);
  }
  return { result: await run.result, firstTokenMs: firstTokenMs ?? performance.now() - start };
}

function contentOf({ media, text }: Question): MessagePart[] {
  const parts: MessagePart[] = [];
  if (media?.kind === "image") parts.push({ type: "image", image: media.file });
  if (media?.kind === "video") parts.push({ type: "video", video: media.file });
  if (text !== "") parts.push({ type: "text", text });
  return parts;
}

/** Pixels are in the items already: those of all together would be sent a second time. */
function givenTo(inputs: ProcessedInputs) {
  const { inputIds, mmTokenTypeIds, positionIds, ropeDelta, imageGridThw, videoGridThw, visionItems } =
    inputs;
  return { inputIds, mmTokenTypeIds, positionIds, ropeDelta, imageGridThw, videoGridThw, visionItems };
}
