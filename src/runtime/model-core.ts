/** What a loaded model is made of; generation and processing work on it. */
import type { Engine } from "../backends/backend.ts";
import type { GenerationDefaults, ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Decoder } from "./decoder.ts";
import type { KvPool } from "./kv-pool.ts";
import { SerialQueue } from "./serial-queue.ts";
import type { VisionEncoder } from "./vision-encoder.ts";

export interface ModelParts {
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  readonly engine: Engine;
  readonly encoder: VisionEncoder;
  readonly decoder: Decoder;
  readonly pool: KvPool;
  readonly tokenizer: Tokenizer;
  /** Most prompt tokens in one run of the decoder. */
  readonly prefillChunk: number;
}

export class ModelCore {
  readonly parts: ModelParts;
  readonly #queue = new SerialQueue();
  #disposed = false;

  constructor(parts: ModelParts) {
    this.parts = parts;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** One engine call at a time, in the order asked. @throws DISPOSED */
  run<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.run(() => {
      this.throwIfDisposed();
      return task();
    });
  }

  throwIfDisposed(): void {
    if (this.#disposed) throw new GlimtError("DISPOSED", "The model was disposed; load it again to use it.");
  }

  /** Lets the step that runs now end, then frees everything. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#queue.idle();
    this.parts.engine.dispose();
  }
}
