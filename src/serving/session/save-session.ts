/** Saves what the KV cache holds of a prompt; what it does not hold yet is read before. */
import { GlimtError } from "../../errors.ts";
import { turnWhenDue } from "../../event-loop.ts";
import type { DecoderPrompt } from "../../prompt/prompt-inputs.ts";
import { readPages } from "../../runtime/page-bytes.ts";
import { generate } from "../generate.ts";
import type { ResolvedGeneration } from "../generation-options.ts";
import type { ModelCore } from "../model-core.ts";
import { GenerationRequest } from "../request.ts";
import type { FoundPages } from "../request-pages.ts";
import { DigestChain } from "./digest.ts";
import { encodeHeader, sessionBlocks } from "./layout.ts";
import { sessionModel } from "./model.ts";
import type { RestoreSessionOptions, SessionFacts } from "./session.ts";
import type { SessionOutput } from "./storage.ts";

/**
 * @param resolved of a generation of one token
 * @param output finished or discarded
 * @throws CONTEXT_OVERFLOW, INPUT_INVALID, OUT_OF_MEMORY, OUTPUT_FAILED, TENSOR_INVALID, ABORTED, DISPOSED
 */
export async function saveSession(
  core: ModelCore,
  prompt: DecoderPrompt,
  resolved: ResolvedGeneration,
  output: SessionOutput,
  options: RestoreSessionOptions,
): Promise<SessionFacts> {
  const request = new GenerationRequest(core.parts, prompt, resolved);
  const stages = await core.adapters.acquire();
  const pieces = generate(core, request, stages, options);
  const { signal, leave } = core.enter(options.signal);
  try {
    // Behind its first token its pages can be found, and while nobody asks for what follows it holds them.
    await pieces.next();
    const facts = await core.run(() => writeSession(core, request, output, { ...options, signal }));
    await output.finish();
    return facts;
  } catch (error) {
    core.throwIfDisposed();
    throw error;
  } finally {
    leave();
    await pieces.return(undefined as never);
  }
}

/** While nothing else uses the engine: pages stay what they are. */
async function writeSession(
  { parts }: ModelCore,
  request: GenerationRequest,
  output: SessionOutput,
  { signal, onProgress }: RestoreSessionOptions,
): Promise<SessionFacts> {
  const found = request.foundPages;
  if (!found) {
    throw new GlimtError(
      "OUT_OF_MEMORY",
      "Other requests needed the pages before they were saved; try it again.",
    );
  }
  const { engine, pool } = parts;
  const { salt, withDrafter, media } = found.scope;
  const model = await sessionModel(parts, withDrafter);
  const count = found.pages.length;
  const chain = new DigestChain();
  let bytes = 0;
  const write = async (part: Uint8Array) => {
    for (const piece of [part, await chain.next(part)]) {
      await output.write(piece);
      bytes += piece.length;
    }
  };
  await write(encodeHeader({ ...model, pages: count, salt, withDrafter, media }));
  const { numbersBytes, pageBytes, blockPages } = sessionBlocks(pool, model.layers);
  for (let first = 0; first < count; first += blockPages) {
    await turnWhenDue(signal);
    const pages = found.pages.slice(first, first + blockPages);
    const block = new Uint8Array(pages.length * (numbersBytes + pageBytes));
    writeNumbers(block, found, first, pages.length);
    await readPages(engine, pool, pages, model.layers, block.subarray(pages.length * numbersBytes));
    await write(block);
    onProgress?.({ stage: "session", share: (first + pages.length) / count });
  }
  return { tokens: count * pool.layout.pageSize, bytes };
}

function writeNumbers(block: Uint8Array, { numbers }: FoundPages, first: number, count: number): void {
  let at = 0;
  for (const page of numbers.slice(first, first + count)) {
    block.set(new Uint8Array(page.buffer, page.byteOffset, page.byteLength), at);
    at += page.byteLength;
  }
}
