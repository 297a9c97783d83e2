/** Renders the checkpoint's own chat template (Jinja, with the settings and helpers of Hugging Face). */
import { type CheckpointFiles, readJson, readText } from "../checkpoint/files.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import { strip } from "./jinja/strings.ts";
import { Template } from "./jinja/template.ts";
import type { TemplateMessage } from "./messages.ts";
import { readTokenizerConfig } from "./tokenizer-config.ts";

export interface RenderOptions {
  /** Open the assistant's turn at the end. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Leave the last message open, so that the model goes on with it; not with addGenerationPrompt. */
  readonly continueFinalMessage?: boolean | undefined;
  /** Function schemas, in OpenAI's shape. */
  readonly tools?: readonly object[] | undefined;
  /** `enable_thinking`, for templates that know it; default: the template's own. */
  readonly enableThinking?: boolean | undefined;
  /** Further variables; Hugging Face passes the tokenizer's special tokens this way. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** Marks the end of the last message while it is rendered. */
const CONTINUE_TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

/** What all chats have; tools and further roles are not in every template. */
const CHAT_ROLES = ["system", "user", "assistant"];
/** Before a message, to see what the template makes of it: some refuse conversations that nobody began. */
const QUESTION: TemplateMessage = { role: "user", content: "?" };

/** A chat template, parsed once. */
export class ChatTemplate {
  readonly source: string;
  readonly #template: Template;

  /** @throws TEMPLATE_INVALID when it is no Jinja */
  constructor(source: string) {
    this.source = source;
    this.#template = new Template(source);
  }

  /**
   * @throws TEMPLATE_INVALID when the template refuses the messages or goes on for too long, OPTION_INVALID for tools
   * that it would not look at, and for variables that would have no effect, INPUT_INVALID for a role that it does not know
   */
  render(messages: readonly TemplateMessage[], options: RenderOptions = {}): string {
    const { addGenerationPrompt = false, continueFinalMessage = false, enableThinking, tools } = options;
    if (addGenerationPrompt && continueFinalMessage) {
      throw new GlimtError(
        "OPTION_INVALID",
        "addGenerationPrompt and continueFinalMessage exclude each other.",
      );
    }
    if (tools !== undefined && tools.length > 0 && !this.#template.reads("tools")) {
      throw new GlimtError(
        "OPTION_INVALID",
        "tools: this checkpoint's chat template has no place for them; leave them out, or describe them in a message.",
      );
    }
    const own = {
      ...(enableThinking === undefined ? {} : { enable_thinking: enableThinking }),
      messages,
      tools: tools ?? null,
      add_generation_prompt: addGenerationPrompt,
    };
    for (const name of Object.keys(options.variables ?? {})) if (Object.hasOwn(own, name)) throw taken(name);
    const context = { documents: null, ...options.variables, ...own };
    this.#checkRoles(messages, context);
    if (!continueFinalMessage) return this.#template.render(context);
    const { tagged, final } = tagFinalMessage(messages);
    return cutAtTag(this.#template.render({ ...context, messages: tagged }), final);
  }

  /** Templates leave out messages of roles that they do not look for, and "asistant" would be lost in silence. */
  #checkRoles(messages: readonly TemplateMessage[], context: Readonly<Record<string, unknown>>): void {
    const known = new Set<unknown>(CHAT_ROLES);
    for (const [index, message] of messages.entries()) {
      const { role } = message;
      if (known.has(role) || this.#names(role) || this.#writes(message, context)) {
        known.add(role);
        continue;
      }
      const named = [...CHAT_ROLES, "tool"].filter((usual) => this.#names(usual));
      const expected = named.length > 0 ? named : CHAT_ROLES;
      throw new GlimtError(
        "INPUT_INVALID",
        `messages[${index}].role is ${shown(role)}: this checkpoint's chat template does not know it, and would leave the message out. ` +
          `It knows ${expected.map((usual) => JSON.stringify(usual)).join(", ")}.`,
      );
    }
  }

  /** Whether its source has the role as a text: then it is looked for, and what becomes of its messages is meant. */
  #names(role: unknown): boolean {
    return this.source.includes(`'${role}'`) || this.source.includes(`"${role}"`);
  }

  /** Whether anything is written for the message. A template that refuses the small chat says more of the whole one. */
  #writes(message: TemplateMessage, context: Readonly<Record<string, unknown>>): boolean {
    const rendered = (messages: readonly TemplateMessage[], tools: unknown) =>
      this.#template.render({ ...context, messages, tools });
    try {
      // Most write it without the tools, of which there may be many, and then for each role.
      return [null, context.tools].some(
        (tools) => rendered([QUESTION, message], tools) !== rendered([QUESTION], tools),
      );
    } catch {
      return true;
    }
  }
}

/** What gives the variables that a call sets itself. */
const GIVEN_BY: Readonly<Record<string, string>> = {
  messages: "the messages themselves",
  tools: "the option tools",
  add_generation_prompt: "the option continueFinalMessage (it is true without it)",
  enable_thinking: "the option enableThinking, which is given too",
};

function taken(name: string): GlimtError {
  return new GlimtError(
    "OPTION_INVALID",
    `templateVariables.${name} would have no effect: that variable is set by ${GIVEN_BY[name]}.`,
  );
}

function tagFinalMessage(messages: readonly TemplateMessage[]): { tagged: TemplateMessage[]; final: string } {
  const last = messages.at(-1);
  const tag = (content: unknown): TemplateMessage[] => [
    ...messages.slice(0, -1),
    { ...(last as TemplateMessage), content },
  ];
  const content = last?.content;
  if (typeof content === "string") return { tagged: tag(content + CONTINUE_TAG), final: content };
  if (Array.isArray(content)) {
    const index = content.findLastIndex((part) => part.type === "text");
    if (index >= 0) {
      const final: string = content[index].text;
      return { tagged: tag(content.with(index, { ...content[index], text: final + CONTINUE_TAG })), final };
    }
  }
  throw new GlimtError("INPUT_INVALID", "continueFinalMessage: the last message has no text to continue.");
}

/** A template that trims messages eats the tag's blank; then the blanks before the tag go too. */
function cutAtTag(rendered: string, final: string): string {
  const bare = CONTINUE_TAG.trimEnd();
  const at = rendered.lastIndexOf(bare);
  if (at < 0 || !rendered.includes(strip(final, null))) {
    throw new GlimtError(
      "TEMPLATE_INVALID",
      "continueFinalMessage: the chat template leaves out or changes the last message.",
    );
  }
  const before = rendered.slice(0, at);
  return rendered.startsWith(CONTINUE_TAG, at) ? before : strip(before, null, "right");
}

/**
 * chat_template.jinja, else chat_template.json, else tokenizer_config.json (where a list may hold several: the one
 * called "default").
 * @throws TEMPLATE_INVALID when there is none, or when it is no Jinja.
 */
export async function loadChatTemplate(
  files: CheckpointFiles,
  signal?: AbortSignal,
  configJson: Promise<unknown> = readTokenizerConfig(files, signal),
): Promise<ChatTemplate> {
  const [own, older, config] = await Promise.all([
    readText(files, "chat_template.jinja", signal),
    readJson(files, "chat_template.json", signal),
    configJson,
  ]);
  const source = own ?? templateOf(older) ?? templateOf(config);
  if (source !== null) return new ChatTemplate(source);
  throw new GlimtError(
    "TEMPLATE_INVALID",
    `${files.location} has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json).`,
  );
}

function templateOf(json: unknown): string | null {
  const value = (json as { chat_template?: unknown } | null | undefined)?.chat_template;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return null;
  const named = value.find((entry) => entry?.name === "default") as { template?: unknown } | undefined;
  return typeof named?.template === "string" ? named.template : null;
}
