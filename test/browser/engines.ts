/** Engines of browsers that nothing drives: an installed Firefox, and WebKitGTK's small browser. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./chromium.ts";

export interface Engine {
  readonly name: "Firefox" | "WebKit";
  readonly command: readonly string[];
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
  const screen = findProgram(["xvfb-run"]);
  if (!path || !screen) return "no WebKit (Debian: apt-get install libwebkit2gtk-4.1-0 xvfb xauth)";
  return { name: "WebKit", command: [screen, "-a", path], sharing: { JSC_useSharedArrayBuffer: "1" } };
}

/** It lies beside WebKitGTK's library, in a folder of the machine's kind. */
function miniBrowser(): string | undefined {
  const kinds = existsSync("/usr/lib") ? readdirSync("/usr/lib") : [];
  return kinds.map((kind) => `/usr/lib/${kind}/webkit2gtk-4.1/MiniBrowser`).find(existsSync);
}

/** Opens an address, with a home of its own, until `work` has ended. */
export async function withEngine<T>(engine: Engine, address: string, work: () => Promise<T>): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), "glimt-engine-"));
  const { name, command, sharing, preferences } = engine;
  if (preferences) writeFileSync(join(home, "user.js"), preferences);
  const [path = "", ...args] = [...command, ...(name === "Firefox" ? [home] : []), address];
  const env = { ...process.env, ...sharing, HOME: home };
  const browser = spawn(path, args, { stdio: "ignore", env, detached: true });
  // With the processes that it has started.
  const end = () => {
    if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, "SIGKILL");
  };
  process.once("exit", end);
  try {
    return await Promise.race([work(), endOf(browser, name)]);
  } finally {
    process.off("exit", end);
    end();
    rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

function endOf(browser: ChildProcess, name: string): Promise<never> {
  return new Promise((_, reject) => {
    browser.once("error", reject);
    browser.once("exit", (code) => reject(new Error(`${name} ended with code ${code}.`)));
  });
}
