/** The parent's side of the line to a peer: a process of its own that keeps its model loaded and answers requests. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Time } from "./child.mjs";

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
}

export interface Answer {
  readonly times?: readonly Time[];
  readonly tokens?: readonly number[];
  /** Of a run: floating-point operations, and bytes that must come from memory. */
  readonly operations?: number;
  readonly bytes?: number;
  readonly ceilings?: Readonly<Record<string, number>>;
  readonly about?: string;
}

/** For one answer; what takes longer has hung. */
const PATIENCE_MS = 900_000;
/** Of what a peer wrote to stderr, for the reason that it ended. */
const KEPT_CHARACTERS = 2000;

export class Peer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { done(answer: Answer): void; fail(error: Error): void }>();
  #lastId = 0;
  #said = "";
  #ended: string | undefined;

  constructor({ program, args, cwd }: Command) {
    this.#child = spawn(program, args, { cwd, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.on("error", (error) => this.#end(error.message));
    this.#child.on("exit", (code, signal) => {
      this.#end(`it ended (${signal ?? `exit code ${code}`}): ${reasonIn(this.#said)}`.slice(0, 300));
    });
    this.#child.stdin?.on("error", () => {});
    this.#child.stderr?.on("data", (text) => {
      this.#said = (this.#said + text).slice(-KEPT_CHARACTERS);
    });
    if (this.#child.stdout) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.#receive(line));
    }
  }

  /** @throws what the peer says went wrong, why it ended, or that it did not answer */
  async ask(task: string, request: object): Promise<Answer> {
    if (this.#ended !== undefined) throw new Error(this.#ended);
    const id = ++this.#lastId;
    const answer = new Promise<Answer>((done, fail) => this.#waiting.set(id, { done, fail }));
    this.#child.stdin?.write(`${JSON.stringify({ id, task, ...request })}\n`);
    const timer = setTimeout(() => {
      this.#end(`it gave no answer to ${task} in ${PATIENCE_MS / 1000} s`);
      this.#child.kill("SIGKILL");
    }, PATIENCE_MS);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Resolves when the process is gone, so that its memory is there for the next. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || !this.#child.pid) return;
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await gone;
    clearTimeout(timer);
  }

  #receive(line: string): void {
    const parsed = parsedLine(line);
    if (!parsed) return;
    const { id, error, ...answer } = parsed;
    const waiting = this.#waiting.get(id);
    if (error === undefined) waiting?.done(answer);
    else waiting?.fail(new Error(error));
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    for (const { fail } of this.#waiting.values()) fail(new Error(this.#ended));
  }
}

/** The line that names an error, or the last one. */
function reasonIn(said: string): string {
  const lines = said.trim().split("\n");
  return lines.findLast((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? "";
}

/** Null for what a library printed. */
function parsedLine(line: string): ({ id: number; error?: string } & Answer) | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
