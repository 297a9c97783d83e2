/** A chat: texts are questions, lines that begin with / are commands. Nothing but answers goes to stdout. */
import { statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { formatBytes } from "../../compiler/print.ts";
import { GlimtError } from "../../errors.ts";
import type { GenerateOptions, GenerationResult, Model, ProcessOptions } from "../../index.ts";
import { isPath } from "../../media/sources/address.ts";
import { AnswerOutput, type Output } from "../answer-output.ts";
import { progressLine } from "../progress-line.ts";
import { unreadableReason } from "../unreadable-reason.ts";
import { writeOutput } from "../write-output.ts";
import type { Conversation } from "./conversation.ts";
import { COMMANDS, type CommandName, isVideoName, pathsOf, readTyped, shellWords } from "./typed.ts";

export interface ChatParts {
  readonly model: Model;
  readonly conversation: Conversation;
  /** Of every answer. */
  readonly options: GenerateOptions & ProcessOptions;
  readonly output: Output;
  /** Where the conversation comes from. */
  readonly file?: string | undefined;
  /** What is said of the chat beside answers. */
  readonly say: (text: string) => void;
}

/** After these there is no further answer. */
const FATAL: readonly string[] = ["DISPOSED", "DEVICE_FAILED", "GROUP_FAILED"];

export class Chat {
  readonly #parts: ChatParts;
  readonly #progress = progressLine(true);
  #answering: AbortController | null = null;
  #last: GenerationResult | null = null;
  /** That `/save` may replace. */
  readonly #files = new Set<string>();

  constructor(parts: ChatParts) {
    this.#parts = parts;
    if (parts.file !== undefined) this.#files.add(resolve(parts.file));
  }

  /** @returns "answering" where an answer was under way, which ends now; "stopping" where it was told so before */
  stop(): "idle" | "answering" | "stopping" {
    if (this.#answering === null) return "idle";
    if (this.#answering.signal.aborted) return "stopping";
    this.#answering.abort();
    return "answering";
  }

  /**
   * @returns whether the chat goes on
   * @throws GlimtError for a command or an answer that failed; the chat is as it was before
   */
  async take(text: string): Promise<boolean> {
    const typed = readTyped(text, isFile);
    switch (typed.kind) {
      case "unknown":
        throw new GlimtError(
          "INPUT_INVALID",
          `There is no command /${typed.name}; /help lists those there are.`,
        );
      case "command":
        return this.#run(typed.name, typed.rest);
      case "files":
        for (const path of typed.paths) await this.attach(isVideoName(path) ? "video" : "image", path);
        return true;
      case "text":
        if (typed.text !== "") await this.ask(typed.text);
        return true;
    }
  }

  async ask(text: string): Promise<void> {
    this.#parts.conversation.ask(text);
    await this.answer();
  }

  /**
   * Answers what was asked last. An answer that is stopped stays as far as it was said, and a question whose answer was stopped
   * before can be said anew; one that fails is as if not asked, its pictures neither.
   */
  async answer(): Promise<void> {
    const { model, conversation, options, output } = this.#parts;
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    this.#answering = stop;
    const shown = new AnswerOutput(output);
    let [content, reasoning] = ["", ""];
    try {
      const run = model.generate(conversation.messages, {
        ...options,
        signal,
        onProgress: ({ stage, share }) => this.#progress.show(stage, share),
      });
      for await (const event of run) {
        this.#progress.clear();
        shown.show(event);
        if (event.type === "text") content += event.content;
        else if (event.type === "reasoning") reasoning += event.reasoning;
      }
      this.#last = await run.result;
      shown.end(this.#last);
      conversation.answer(this.#last.content, this.#last.reasoning);
    } catch (error) {
      this.#progress.clear();
      shown.stop();
      if (!stop.signal.aborted || content === "") conversation.takeBack(stop.signal.aborted);
      else conversation.answer(content, reasoning);
      if (!stop.signal.aborted) throw error;
    } finally {
      this.#answering = null;
    }
  }

  async #run(name: CommandName, rest: string): Promise<boolean> {
    const { conversation, say } = this.#parts;
    switch (name) {
      case "image":
      case "video": {
        const paths = pathsOf(rest, isFile);
        if (paths.length === 0) throw missing(name);
        for (const path of paths) await this.attach(name, path);
        return true;
      }
      case "system":
        conversation.setSystem(rest);
        return true;
      case "clear":
        conversation.clear();
        return true;
      case "save": {
        if (rest === "") throw missing(name);
        const [first = rest, ...others] = shellWords(rest);
        const file = others.length > 0 ? rest : first;
        this.#mayReplace(file);
        await writeOutput("/save", file, conversation.json);
        say(`The chat is in ${file}.`);
        return true;
      }
      case "stats":
        say(this.#statistics());
        return true;
      case "help":
        say(helpText());
        return true;
      case "exit":
        return false;
    }
  }

  /** A file that is not of this chat is replaced only where that was asked for twice. @throws INPUT_INVALID the first time */
  #mayReplace(file: string): void {
    const path = resolve(file);
    const isOwn = this.#files.has(path);
    this.#files.add(path);
    if (isOwn || !isFile(path)) return;
    throw new GlimtError("INPUT_INVALID", `/save: ${file} is there already; the same again replaces it.`);
  }

  /** Pictures are read now, so that the chat stays the same when the file changes. */
  async attach(type: "image" | "video", place: string): Promise<void> {
    const { conversation, model, options, say } = this.#parts;
    const source = isPath(place) ? resolve(place) : place;
    const saved = type === "image" ? { type, image: source } : { type, video: source };
    if (type === "video") {
      if (isPath(place)) {
        await stat(source).catch(async (cause) => {
          throw unreadable(type, place, await unreadableReason(source, cause), cause);
        });
      }
      conversation.attach({ part: saved, saved });
      say(`${place} goes with the next question.`);
      return;
    }
    const image = isPath(place)
      ? await readFile(source).catch(async (cause) => {
          throw unreadable(type, place, await unreadableReason(source, cause), cause);
        })
      : source;
    const part = { type, image };
    const { signal, specialTokensInText } = options;
    const { mmTokenTypeIds } = await model.process([{ role: "user", content: [part] }], {
      signal,
      specialTokensInText,
    });
    conversation.attach({ part, saved });
    const tokens = mmTokenTypeIds.filter((kind) => kind !== 0).length;
    say(`${place} goes with the next question: ${tokens} tokens.`);
  }

  #statistics(): string {
    const { model } = this.#parts;
    const { pages } = model.stats();
    const lines = [
      `memory ${formatBytes(model.liveBytes)}; ${pages.total - pages.free} of ${pages.total} pages of the KV cache in use`,
    ];
    if (this.#last) {
      const { usage, timings, finishReason } = this.#last;
      const { promptTokens, cachedTokens, visionTokens, completionTokens } = usage;
      const seconds = timings.decode / 1000;
      const speed = seconds > 0 ? `, ${(completionTokens / seconds).toFixed(1)} a second` : "";
      const context = model.config.text.maxPositionEmbeddings;
      lines.unshift(
        `question: ${promptTokens} tokens, ${visionTokens} of pictures; ${cachedTokens} were there from before`,
        `answer: ${completionTokens} tokens${speed}; it ended by ${finishReason}`,
        `context: ${promptTokens + completionTokens} of ${context} tokens`,
      );
    }
    return lines.join("\n");
  }
}

/** Whether the chat can go on behind an error. */
export function mayGoOn(error: unknown): error is GlimtError {
  return error instanceof GlimtError && !FATAL.includes(error.code);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function missing(name: CommandName): GlimtError {
  return new GlimtError("INPUT_INVALID", `/${name} ${COMMANDS[name][0]}: ${COMMANDS[name][0]} is missing.`);
}

function unreadable(type: string, place: string, reason: string, cause: unknown): GlimtError {
  return new GlimtError("INPUT_INVALID", `The ${type} ${place} can not be read: ${reason}.`, { cause });
}

function helpText(): string {
  const rows = Object.entries(COMMANDS).map(
    ([name, [what, help]]) => [`/${name} ${what}`.trimEnd(), help] as const,
  );
  const width = Math.max(...rows.map(([usage]) => usage.length));
  return [
    ...rows.map(([usage, help]) => `${usage.padEnd(width)}  ${help}`),
    'A line that ends with \\ goes on in the next one; """ begins and ends a text of several lines.',
    "A file that is dragged here goes with the next question. Ctrl-C ends an answer, and twice the chat.",
  ].join("\n");
}
