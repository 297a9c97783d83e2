/** The project in which the tarball is installed beside the tools, once for all rows. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { CHECKPOINT, expectAnswer, PICTURE, SHARED_FILES } from "./programs.ts";

export const TOOLS = resolve("test/package/consumers/package.json");
const INSTALL = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
/** Tools that would ask the network. */
const QUIET = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", DENO_NO_UPDATE_CHECK: "1" };

export class Project {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** @returns why it can not be done */
  async install(tarball: string): Promise<string | undefined> {
    await this.write("package.json", await readFile(TOOLS, "utf8"));
    try {
      await this.run("npm", INSTALL);
    } catch (error) {
      return (error as Error).message.split("\n")[0];
    }
    await this.run("npm", [...INSTALL, "--offline", tarball]);
    for (const [file, text] of Object.entries(SHARED_FILES)) await this.write(file, text);
    return undefined;
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  has(file: string): boolean {
    return existsSync(this.path(file));
  }

  bin(name: string): string {
    return this.path("node_modules/.bin", name);
  }

  /** Output of a command that ends well. */
  run(command: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    return promisify(execFile)(command, args, {
      cwd: this.folder,
      env: QUIET,
      maxBuffer: 1 << 26,
      timeout: 300_000,
    });
  }

  /** A command that prints the demo's answer. */
  async answers(command: string, args: readonly string[]): Promise<void> {
    expectAnswer((await this.run(command, args)).stdout);
  }

  /** Calls `use` while a command runs. @throws Error with what the command complained of when it ends before */
  async during<T>(command: string, args: readonly string[], use: () => Promise<T>): Promise<T> {
    const child: ChildProcess = spawn(command, args, {
      cwd: this.folder,
      env: QUIET,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr?.on("data", (text) => {
      said += text;
    });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const failed = ended.then(() => {
      throw new Error(`${command} ended: ${said}`);
    });
    try {
      return await Promise.race([use(), failed]);
    } finally {
      child.kill();
      await ended;
    }
  }

  async write(file: string, text: string): Promise<void> {
    const path = this.path(file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  /** The checkpoint and the pictures among a folder's files. */
  shareDemo(folder: string): void {
    cpSync(CHECKPOINT, this.path(folder, "checkpoint"), { recursive: true });
    cpSync(dirname(PICTURE), this.path(folder, "pictures"), { recursive: true });
  }
}

export async function waitFor(address: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await fetch(address);
      return;
    } catch (error) {
      if (tries === 300) throw error;
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }
}

export function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
