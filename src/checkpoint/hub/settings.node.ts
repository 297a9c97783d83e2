/** The Hub's settings as Python's huggingface_hub reads them: what an option leaves open, the environment says. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { type HubAccess, type HubOptions, hubAccess, readHubOptions } from "./options.ts";

export interface HubSettings extends HubAccess {
  readonly cacheDir: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables of the process. What may not be read (Deno without --allow-env) is not set. */
export const ENVIRONMENT: Environment = new Proxy(
  {},
  {
    get(_, name) {
      try {
        return process.env[String(name)];
      } catch {
        return undefined;
      }
    },
  },
);

/** @throws OPTION_INVALID */
export async function hubSettings(
  given: HubOptions | undefined,
  env: Environment = ENVIRONMENT,
): Promise<HubSettings> {
  const { token, endpoint, cacheDir, offline } = readHubOptions(given);
  const isOffline = offline ?? isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
  const found = token === undefined ? await usualToken(env) : token || null;
  return {
    ...hubAccess(found, endpoint ?? env.HF_ENDPOINT, isOffline),
    cacheDir: resolve(expanded(cacheDir || cacheOf(env), env)),
  };
}

function home(env: Environment): string {
  return expanded(env.HF_HOME || join(env.XDG_CACHE_HOME || join("~", ".cache"), "huggingface"), env);
}

function cacheOf(env: Environment): string {
  return env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home(env), "hub");
}

async function usualToken(env: Environment): Promise<string | null> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return null;
  const said = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  if (said) return said;
  const file = expanded(env.HF_TOKEN_PATH || join(home(env), "token"), env);
  // Most have none, and public models need none.
  return readFile(file, "utf8").catch(() => null);
}

export function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

/** "~" at the start, and $NAME. */
function expanded(path: string, env: Environment): string {
  return path
    .replace(/^~(?=$|[\\/])/, () => homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, plain) => env[braced ?? plain] ?? whole);
}
