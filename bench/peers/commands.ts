/** How each contestant is started. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Contestant } from "./bouts.ts";
import type { Files } from "./files.ts";
import type { Command } from "./peer.ts";

export interface Programs {
  readonly python: string;
  readonly chromium: string;
  /** The folder of the bundled glimt.js and kernels.js. */
  readonly bundles: string;
}

const FOLDER = resolve("bench/peers");

/** @throws why it can not be started */
export function commandOf(contestant: Contestant, files: Files, programs: Programs): Command {
  const { kind, setting, part = "" } = contestant;
  const node = (...args: string[]): Command => ({ program: process.execPath, args, cwd: FOLDER });
  switch (kind) {
    case "glimt":
      return node(join(programs.bundles, "glimt.js"), files.checkpoint(), setting);
    case "kernels":
      return node(join(programs.bundles, "kernels.js"));
    case "llama":
      requirePackage("node-llama-cpp");
      return node("llama.mjs", files.gguf(setting));
    case "wllama":
      requirePackage("@wllama/wllama");
      if (!existsSync(programs.chromium)) throw new Error(`no Chromium at ${programs.chromium} (--chromium)`);
      return node("wllama.mjs", files.gguf(setting), programs.chromium);
    case "torch": {
      const args = ["torch_peer.py", "--checkpoint", files.checkpoint(), "--dtype", setting, "--part", part];
      return { program: programs.python, args, cwd: FOLDER };
    }
  }
}

function requirePackage(name: string): void {
  if (!existsSync(join(FOLDER, "node_modules", name))) {
    throw new Error(`${name} is not installed: node bench/peers/run.mjs --install`);
  }
}
