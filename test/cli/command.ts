/** The command as a user types it, and what its commands say that are run in this process. */
import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import * as assert from "uvu/assert";
import { byFlagNames } from "../../src/cli/flag-names.ts";
import type { GlimtError } from "../../src/errors.ts";
import { type GoldenCase, goldenCase } from "../golden/load.ts";

/** What transformers answered about a picture, and how it was asked. */
export const ONE_IMAGE = goldenCase("glm4v-tiny", "one-image");
export const [IMAGE, QUESTION] = partsOf(ONE_IMAGE);

/** dist/cli.js in a process of its own. */
export function glimt(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/cli.js", ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

/** What it prints with `--json`. */
export function json(...args: string[]) {
  const { status, stdout, stderr } = glimt(...args);
  assert.is(status, 0, stderr);
  return JSON.parse(stdout);
}

/** What the command says of its failure, in this process, which costs a fraction of one of its own: "message [CODE]". */
export async function complaint(command: Command, args: readonly string[]): Promise<string> {
  try {
    await command
      .exitOverride()
      .configureOutput({ outputError: () => {} })
      .parseAsync(args, { from: "user" });
  } catch (error) {
    const { message, code } = byFlagNames(error, command) as GlimtError;
    return `${message} [${code}]`;
  }
  throw new Error(`${args.join(" ")} is no failure.`);
}

/** The demo checkpoint in a folder of its own, which no token that it says ends. */
export function endlessDemo(folder: string): string {
  const endless = join(folder, "endless");
  cpSync("examples/demo/checkpoint", endless, { recursive: true });
  const generation = join(endless, "generation_config.json");
  const settings = JSON.parse(readFileSync(generation, "utf8"));
  writeFileSync(generation, JSON.stringify({ ...settings, eos_token_id: 0 }));
  return endless;
}

function partsOf({ messages }: GoldenCase): [image: string, text: string] {
  const parts = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const { image } = parts.find(({ type }) => type === "image") as { image: string };
  const { text } = parts.find(({ type }) => type === "text") as { text: string };
  return [image, text];
}
