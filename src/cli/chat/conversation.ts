/** What was said in a chat, as the model is asked it and as it is saved. */
import type { Message, MessagePart } from "../../index.ts";

/** A picture or video to be asked about: with its bytes or its place, and how a file of the chat names it. */
export interface Attachment {
  readonly part: MessagePart;
  readonly saved: MessagePart;
}

interface Turn {
  readonly asked: Message;
  readonly saved: Message;
  /** What went with a question. */
  readonly attached?: readonly Attachment[];
}

export class Conversation {
  #turns: Turn[];
  #attached: Attachment[] = [];
  #system: string | undefined;

  /** @param messages said before, with `system` in front where there is one */
  constructor(messages: readonly Message[]) {
    const [first] = messages;
    const isSystem = first?.role === "system" && typeof first.content === "string";
    this.#system = isSystem ? (first.content as string) : undefined;
    this.#turns = messages.slice(isSystem ? 1 : 0).map((message) => ({ asked: message, saved: message }));
  }

  /** What the model is asked. */
  get messages(): Message[] {
    return [...this.#systemMessages(), ...this.#turns.map(({ asked }) => asked)];
  }

  /** As JSON that `--messages` reads. */
  get json(): string {
    return `${JSON.stringify([...this.#systemMessages(), ...this.#turns.map(({ saved }) => saved)], null, 2)}\n`;
  }

  /** Whether the last word is the user's. */
  get isAsked(): boolean {
    return this.#turns.at(-1)?.asked.role === "user";
  }

  setSystem(text: string): void {
    this.#system = text === "" ? undefined : text;
  }

  attach(attachment: Attachment): void {
    this.#attached.push(attachment);
  }

  ask(text: string): void {
    const said: MessagePart[] = text === "" ? [] : [{ type: "text", text }];
    const turn = (name: keyof Attachment): Message => ({
      role: "user",
      content: [...this.#attached.map((attachment) => attachment[name]), ...said],
    });
    this.#turns.push({ asked: turn("part"), saved: turn("saved"), attached: this.#attached });
    this.#attached = [];
  }

  /** @param reasoning what was thought before; templates decide what the model sees of it later */
  answer(content: string, reasoning: string): void {
    const message: Message = {
      role: "assistant",
      content,
      ...(reasoning !== "" && { reasoning_content: reasoning }),
    };
    this.#turns.push({ asked: message, saved: message });
  }

  /** The last question was not said. @param keepsFiles whether its pictures and videos go with the next one */
  takeBack(keepsFiles: boolean): void {
    if (!this.isAsked) return;
    const { attached = [] } = this.#turns.pop() as Turn;
    if (keepsFiles) this.#attached = [...attached, ...this.#attached];
  }

  clear(): void {
    this.#turns = [];
    this.#attached = [];
  }

  #systemMessages(): Message[] {
    return this.#system === undefined ? [] : [{ role: "system", content: this.#system }];
  }
}
