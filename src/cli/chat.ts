/** `glimt chat`: a conversation with a model in the terminal, or of piped lines. */
import { Command } from "commander";
import type { Message, Model } from "../index.ts";
import { adapterSources } from "./adapter-flags.ts";
import { Chat } from "./chat/chat.ts";
import { Conversation } from "./chat/conversation.ts";
import { runChat } from "./chat/loop.ts";
import { readMessages } from "./chat-files.ts";
import { type EngineFlags, engineLine, withEngineOptions } from "./engine-flags.ts";
import { interruptible } from "./interruption.ts";
import { loadByFlags } from "./load-by-flags.ts";
import {
  collect,
  type LoadFlags,
  type MediaFlags,
  type PromptFlags,
  processOptions,
  withConversationOptions,
  withLoadOptions,
  withMediaOptions,
} from "./model-options.ts";
import { type ParallelFlags, withParallelOptions } from "./parallel-flags.ts";
import { type SamplingFlags, samplingOptions, withSamplingOptions } from "./sampling-flags.ts";
import { type ServingFlags, withServingOptions } from "./serving-flags.ts";
import { type SourceFlags, withSourceOptions } from "./source-flags.ts";
import { requireOneReader, STANDARD_INPUT } from "./standard-input.ts";

interface ChatFlags
  extends Omit<PromptFlags, "tools">,
    SourceFlags,
    MediaFlags,
    LoadFlags,
    EngineFlags,
    ServingFlags,
    ParallelFlags,
    SamplingFlags {
  readonly adapter: readonly string[];
}

export function chatCommand(): Command {
  const asking = withConversationOptions(new Command("chat"), false);
  const loading = withServingOptions(
    withParallelOptions(withEngineOptions(withLoadOptions(withMediaOptions(withSourceOptions(asking))))),
  );
  return withSamplingOptions(loading)
    .description(
      "talk with a model about pictures, in the terminal or by piped lines; /help there lists commands",
    )
    .option("--adapter <dir[:scale]>", "answer with this LoRA adapter; may be repeated", collect, [])
    .action(chat);
}

async function chat(location: string, prompt: string | undefined, flags: ChatFlags): Promise<void> {
  requireOneReader([
    ["The chat", STANDARD_INPUT],
    ["the prompt", prompt],
    ["--messages", flags.messages],
    ...flags.image.map((image) => ["--image", image] as const),
    ...flags.video.map((video) => ["--video", video] as const),
  ]);
  const before: Message[] = flags.messages === undefined ? [] : await readMessages(flags.messages);
  const asked = await processOptions(flags);
  const signal = interruptible();
  const model = await load(location, flags, signal);
  try {
    const say = (text: string) => console.error(text);
    const conversation = new Conversation(before);
    if (flags.system !== undefined) conversation.setSystem(flags.system);
    const adapters = adapterSources(flags.adapter).map(({ name }) => name);
    const options = { ...samplingOptions(flags), ...asked, adapters, signal };
    const { messages: file } = flags;
    const chat = new Chat({ model, conversation, options, output: process.stdout, file, say });
    const first = async () => {
      for (const image of flags.image) await chat.attach("image", image);
      for (const video of flags.video) await chat.attach("video", video);
      if (prompt !== undefined) await chat.ask(prompt);
      else if (conversation.isAsked) await chat.answer();
    };
    await runChat({ chat, first, say, signal });
  } finally {
    await model.dispose();
  }
}

async function load(location: string, flags: ChatFlags, signal: AbortSignal): Promise<Model> {
  const model = await loadByFlags(location, flags, signal, { asked: samplingOptions(flags) });
  if (process.stderr.isTTY) console.error(`${engineLine(model.backend)}. /help lists commands.`);
  return model;
}
