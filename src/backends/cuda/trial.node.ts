/** Loads an addon and asks it about a device, in a child process: whatever happens there, this process lives. */
import { execFile } from "node:child_process";
import type { CudaAddon, DeviceInfo } from "./addon.ts";

/** The first call into a driver may start all GPUs of a machine. */
const LIMIT_MS = 60_000;

/** What is known of an addon without loading it here. */
export type AddonFacts = Pick<CudaAddon, "kind" | "programVersion" | "signatures">;

export type Trial =
  | { readonly addon: AddonFacts; readonly device: DeviceInfo }
  /** The addon works, and says what the machine lacks and what to do. */
  | { readonly addon: AddonFacts; readonly machine: string }
  /** It can not be loaded, or took the child down. */
  | { readonly failure: string };

/** The answer is the last line, whatever a library prints before it. */
const SCRIPT = `
const firstLine = (error) => String(error && error.message || error).split("\\n")[0];
const answer = (value) => require("node:fs").writeSync(1, "\\n" + JSON.stringify(value));
try {
  const { kind, programVersion, signatures, probe } = require(process.argv[1]);
  const addon = { kind, programVersion, signatures };
  try {
    answer({ addon, device: probe(Number(process.argv[2])) });
  } catch (error) {
    answer({ addon, machine: firstLine(error) });
  }
} catch (error) {
  answer({ failure: firstLine(error) });
}
process.exit(0);
`;

export function tryInChild(path: string, device: number): Promise<Trial> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["-e", SCRIPT, path, String(device)],
      // A host like Electron is Node only when told so.
      { env: { ...env, ELECTRON_RUN_AS_NODE: "1" }, timeout: LIMIT_MS, encoding: "utf8" },
      (error, stdout, stderr) => {
        const answer = parseAnswer(stdout);
        if (answer) return resolve(answer);
        const end = error?.killed
          ? `it did not answer within ${LIMIT_MS / 1000} s`
          : `it took its process down (${error?.signal ?? `exit code ${error?.code}`})`;
        const said = stderr.trim().split("\n").at(-1);
        resolve({ failure: said ? `${end}: ${said}` : end });
      },
    );
  });
}

function parseAnswer(stdout: string): Trial | undefined {
  try {
    return JSON.parse(stdout.slice(stdout.lastIndexOf("\n") + 1)) as Trial;
  } catch {
    return undefined;
  }
}
