/** `glimt serve`: a model behind the APIs that clients speak. */
import { statSync } from "node:fs";
import { Command, Option } from "commander";
import { GlimtError } from "../errors.ts";
import { openLayout, type ReadDocument, readDocument } from "../ocr.ts";
import { adaptersWithin } from "../server/adapters-within.node.ts";
import { checkAddress, listen } from "../server/listen.node.ts";
import type { LogEntry } from "../server/log.ts";
import { resolveOptions } from "../server/options.ts";
import { createServer } from "../server/server.ts";
import { finishWhenInterrupted, interruptible } from "./interruption.ts";
import { collect, wholeNumber } from "./model-options.ts";
import { loadServedModel, withServedModelOptions } from "./served-model.ts";
import { type HttpFlags, httpOptions, withHttpOptions } from "./server-flags.ts";
import { withSourceOptions } from "./source-flags.ts";

interface ServeFlags extends HttpFlags {
  readonly port: number;
  readonly host: string;
  readonly closeTimeout: number;
  readonly log: "requests" | "errors";
  readonly allowAdapterLoading: readonly string[];
  readonly layout?: string;
}

export function serveCommand(): Command {
  const command = new Command("serve").argument(
    "<model>",
    "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one",
  );
  const network = command
    .description("answer requests of the APIs of OpenAI, Anthropic and Ollama over HTTP")
    .option("--port <n>", "0: one that is free", wholeNumber, 8000)
    .option("--host <address>", "0.0.0.0 is asked from other machines too", "127.0.0.1")
    .addOption(
      new Option("--log <what>", "JSON lines on stderr: of each request, or of errors alone")
        .choices(["requests", "errors"])
        .default("requests"),
    )
    .option(
      "--close-timeout <ms>",
      "in which requests under way may finish when the server is told to end",
      wholeNumber,
      25_000,
    );
  return withServedModelOptions(withSourceOptions(withHttpOptions(network), "public"))
    .option(
      "--allow-adapter-loading <folder>",
      "let requests load LoRA adapters that lie in this folder, and unload adapters; may be repeated",
      collect,
      [],
    )
    .option("--layout <file.onnx>", "PP-DocLayoutV3: documents are read region by region, as what each is")
    .action(serve);
}

async function serve(location: string, flags: ServeFlags): Promise<void> {
  const options = httpOptions(location, flags);
  // Loading takes longest: what is wrong is told before.
  resolveOptions(options, Number.MAX_SAFE_INTEGER);
  await checkAddress({ port: flags.port, host: flags.host });
  const { allowAdapterLoading: folders } = flags;
  for (const folder of folders) checkFolder(folder);
  const layout = flags.layout === undefined ? undefined : await openLayout({ model: flags.layout });
  const { speculation } = flags;
  const model = await loadServedModel(location, flags, interruptible(), { speculation });
  try {
    const log = (entry: LogEntry) => {
      if (flags.log === "errors" && entry.level !== "error") return;
      process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
    };
    const adapterLocation = folders.length > 0 ? adaptersWithin(folders) : undefined;
    const readWith: ReadDocument = (reader, source, asked) => {
      // What is asked of whole pages needs no regions.
      return readDocument(reader, source, asked?.prompt === undefined ? { ...asked, layout } : asked);
    };
    const server = createServer(model, { ...options, adapterLocation, readDocument: readWith, log });
    const listening = await listen(server, { port: flags.port, host: flags.host });
    const told = new Promise<void>((resolve) => finishWhenInterrupted(resolve));
    greet(listening.url, options.name[0] as string, options.apiKeys.length > 0);
    await told;
    console.error("Finishing what runs; a second signal does not wait for it.");
    await listening.close({ timeout: flags.closeTimeout });
  } finally {
    await model.dispose();
    await layout?.dispose();
  }
}

/** Requests would be told of each adapter that it is not there. @throws OPTION_INVALID */
function checkFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new GlimtError("OPTION_INVALID", `--allow-adapter-loading: there is no folder ${folder}.`);
}

/** Where it is asked, and how. */
function greet(url: string, name: string, hasKeys: boolean): void {
  const body = JSON.stringify({ model: name, messages: [{ role: "user", content: "Hello" }] });
  const key = hasKeys ? ' -H "authorization: Bearer $GLIMT_API_KEY"' : "";
  console.log(`${name} is served at ${url}/v1`);
  console.log(`curl ${url}/v1/chat/completions -H "content-type: application/json"${key} -d '${body}'`);
}
