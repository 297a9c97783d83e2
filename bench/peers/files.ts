/** What peers and glimt read: one checkpoint with random weights of the released sizes, and GGUF files made of it. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

export interface FileOptions {
  readonly python: string;
  readonly layers?: number | undefined;
  readonly depth?: number | undefined;
  readonly checkpoint?: string | undefined;
  readonly log: (line: string) => void;
}

const GGUF_TYPES: Readonly<Record<string, readonly string[]>> = {
  F16: ["--type", "f16"],
  Q8_0: ["--type", "q8_0"],
  // As glimt's q4 has it.
  Q4_0: ["--type", "q4_0", "--wider", "q8_0"],
};

export class Files {
  readonly #options: FileOptions;
  readonly #folder: string;
  readonly #failed = new Map<string, string>();

  constructor(options: FileOptions) {
    this.#options = options;
    const size = [options.layers && `${options.layers}-layers`, options.depth && `${options.depth}-blocks`];
    const name = ["glm-ocr", ...size.filter(Boolean)].join("-");
    this.#folder = resolve("build/peers", options.checkpoint?.replace(/\W+/g, "-") ?? name);
  }

  /** Made once and kept. @throws what Python said */
  checkpoint(): string {
    const { checkpoint, layers, depth } = this.#options;
    if (checkpoint !== undefined) return resolve(checkpoint);
    const out = join(this.#folder, "checkpoint");
    if (existsSync(join(out, "config.json"))) return out;
    const sizes = [
      ...(layers === undefined ? [] : ["--layers", String(layers)]),
      ...(depth === undefined ? [] : ["--depth", String(depth)]),
    ];
    this.#make(out, ["bench/make_checkpoint.py", "--model", "glm-ocr", "--out", out, ...sizes]);
    return out;
  }

  /** @throws what Python said */
  gguf(type: string): string {
    const how = GGUF_TYPES[type] ?? [];
    const out = join(this.#folder, `${how.filter((word) => !word.startsWith("--")).join("-")}.gguf`);
    if (existsSync(out)) return out;
    const checkpoint = this.checkpoint();
    this.#make(out, ["bench/peers/make_gguf.py", "--checkpoint", checkpoint, "--out", out, ...how]);
    return out;
  }

  #make(out: string, args: readonly string[]): void {
    const failed = this.#failed.get(out);
    if (failed !== undefined) throw new Error(failed);
    this.#options.log(`making ${out}`);
    mkdirSync(this.#folder, { recursive: true });
    try {
      execFileSync(this.#options.python, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    } catch (cause) {
      const { stderr, message } = cause as { stderr?: string; message: string };
      const reason = `${args[0]}: ${stderr?.trim().split("\n").at(-1) || message}`;
      this.#failed.set(out, reason);
      throw new Error(reason, { cause });
    }
  }
}
