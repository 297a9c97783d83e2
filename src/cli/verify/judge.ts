/** The judge: verify.py in a Python with transformers, as a child process that ends with the command. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GlimtError, throwIfAborted } from "../../errors.ts";

/** Beside the command's bundle. */
export const SCRIPT = fileURLToPath(new URL("./python/verify.py", import.meta.url));

export interface JudgeOptions {
  readonly python: string;
  /** Arguments of the script behind the model and the file. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly onProgress: (what: string, share: number) => void;
}

const PROGRESS = /^\[ *(\d+) %\] (.*)$/;
const REASON = /^verify: (.*)$/;
/** Of what a Python that failed said otherwise. */
const KEPT_LINES = 20;

/** Runs the script and reads its file, which is gone afterwards. @throws OPTION_INVALID with what the script said, ABORTED */
export async function withJudge<T>(
  model: string,
  options: JudgeOptions,
  read: (folder: string, name: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "glimt-verify-"));
  try {
    await run([SCRIPT, model, join(folder, NAME), ...options.args], options);
    if (!existsSync(join(folder, NAME))) {
      throw failed(options.python, [], "exit status 0, and wrote nothing");
    }
    return await read(folder, NAME);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const NAME = "expected.safetensors";

function run(args: readonly string[], { python, env, signal, onProgress }: JudgeOptions): Promise<void> {
  const variables = {
    PYTHONIOENCODING: "utf-8",
    PYTHONDONTWRITEBYTECODE: "1",
    TOKENIZERS_PARALLELISM: "false",
  };
  const child = spawn(python, args, {
    env: { ...process.env, ...variables, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stop = () => child.kill();
  signal.addEventListener("abort", stop);
  process.on("exit", stop);
  const lines: string[] = [];
  let rest = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    const parts = `${rest}${text}`.split(/\r?\n/);
    rest = parts.pop() ?? "";
    for (const line of parts) {
      const [, percent, what] = PROGRESS.exec(line) ?? [];
      if (what !== undefined) onProgress(`transformers: ${what}`, Number(percent) / 100);
      else if (line.trim() !== "") lines.push(line);
    }
    lines.splice(0, lines.length - KEPT_LINES);
  });
  return new Promise<void>((resolve, reject) => {
    child.on("error", (cause: NodeJS.ErrnoException) => reject(notStarted(python, cause)));
    child.on("close", (status, killed) => {
      if (status === 0) resolve();
      else reject(failed(python, [...lines, rest], killed === null ? `exit status ${status}` : `${killed}`));
    });
  })
    .catch((error) => {
      throwIfAborted(signal);
      throw error;
    })
    .finally(() => {
      signal.removeEventListener("abort", stop);
      process.off("exit", stop);
    });
}

const ADVICE =
  "The judge needs Python 3.10 with torch, torchvision, transformers and safetensors (pip install torch torchvision transformers safetensors); --python names the one that has them. Or run the script elsewhere, and give its file with --expected";

function notStarted(python: string, cause: NodeJS.ErrnoException): GlimtError {
  const reason = cause.code === "ENOENT" ? "there is no such program" : cause.message;
  return new GlimtError(
    "OPTION_INVALID",
    `--python: ${python} can not be started: ${reason}. ${ADVICE}: ${SCRIPT}.`,
    { cause },
  );
}

function failed(python: string, lines: readonly string[], how: string): GlimtError {
  const reason = lines.map((line) => REASON.exec(line)?.[1]).findLast((found) => found !== undefined);
  if (reason !== undefined) return new GlimtError("OPTION_INVALID", `The judge: ${reason}.`);
  const said = lines.filter((line) => line.trim() !== "").at(-1);
  return new GlimtError(
    "OPTION_INVALID",
    `The judge ended with ${how}${said === undefined ? "" : `: ${said.trim()}`}. ${ADVICE}: ${SCRIPT}.`,
    { cause: new Error(lines.join("\n") || `${python}: ${how}`) },
  );
}
