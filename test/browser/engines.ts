/** Engines of browsers that nothing drives: an installed Firefox, and WebKitGTK's small browser. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./chromium.ts";

export interface Engine {
  readonly name: "Firefox" | "WebKit";
  readonly command: readonly string[];
  /** The X server that it draws on. */
  readonly screen?: string;
  /** What it takes to share memory between threads, where it does not by itself. */
  readonly sharing?: Readonly<Record<string, string>>;
  /** Settings of a fresh profile. */
  readonly preferences?: string;
}

/** @returns what starts it, or why it can not be */
export function findEngine(name: Engine["name"]): Engine | string {
  return name === "Firefox" ? findFirefox() : findWebKit();
}

function findFirefox(): Engine | string {
  const path = findProgram(["firefox-esr", "firefox"], process.env.GLIMT_FIREFOX);
  if (!path) return "no Firefox (Debian: apt-get install firefox-esr, or set GLIMT_FIREFOX)";
  const preferences =
    'user_pref("browser.aboutwelcome.enabled", false);\nuser_pref("app.update.auto", false);\n';
  return { name: "Firefox", command: [path, "--headless", "--no-remote", "--profile"], preferences };
}

function findWebKit(): Engine | string {
  const path = miniBrowser();
  const screen = findProgram(["Xvfb"]);
  if (!path || !screen) return "no WebKit (Debian: apt-get install libwebkit2gtk-4.1-0 xvfb)";
  return { name: "WebKit", command: [path], screen, sharing: { JSC_useSharedArrayBuffer: "1" } };
}

/** It lies beside WebKitGTK's library, in a folder of the machine's kind. */
function miniBrowser(): string | undefined {
  const kinds = existsSync("/usr/lib") ? readdirSync("/usr/lib") : [];
  return kinds.map((kind) => `/usr/lib/${kind}/webkit2gtk-4.1/MiniBrowser`).find(existsSync);
}

/** Opens an address, with a home of its own, until `work` has ended; its signal fires when the browser has. */
export async function withEngine<T>(
  engine: Engine,
  address: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { name, command, screen, sharing, preferences } = engine;
  const display = screen ? await startScreen(screen) : undefined;
  const home = mkdtempSync(join(tmpdir(), "glimt-engine-"));
  if (preferences) writeFileSync(join(home, "user.js"), preferences);
  const [path = "", ...args] = [...command, ...(name === "Firefox" ? [home] : []), address];
  const env = { ...process.env, ...sharing, ...(display && { DISPLAY: display.name }), HOME: home };
  const browser = spawn(path, args, { stdio: "ignore", env, detached: true });
  const ended = new Promise<unknown>((resolve) => browser.once("error", resolve).once("exit", resolve));
  const end = () => {
    endGroup(browser);
    display?.server.kill();
  };
  process.once("exit", end);
  const control = new AbortController();
  const left = ended.then((how) => {
    control.abort();
    throw new Error(`${name} ended: ${how}.`);
  });
  try {
    return await Promise.race([work(control.signal), left]);
  } finally {
    left.catch(() => {});
    process.off("exit", end);
    end();
    rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** On a number that is free. */
async function startScreen(path: string) {
  const server = spawn(path, ["-displayfd", "1", "-nolisten", "tcp"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const number = await new Promise<string>((resolve, reject) => {
    server.once("error", reject).once("exit", (code) => reject(new Error(`Xvfb ended with code ${code}.`)));
    server.stdout.once("data", (data) => resolve(String(data).trim()));
  });
  return { server, name: `:${number}` };
}

/** With the processes that it has started, if any are left. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
