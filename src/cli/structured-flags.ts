/** Flags that say what an answer is to be. */
import { readFile } from "node:fs/promises";
import { GlimtError } from "../errors.ts";
import type { StructuredOptions } from "../serving/structured-options.ts";
import type { ToolChoice } from "../serving/tool-choice.ts";
import { unreadableReason } from "./unreadable-reason.ts";
import { utf8Text } from "./utf8-text.ts";

export interface StructuredFlags {
  readonly jsonSchema?: string;
  readonly regex?: string;
  readonly choice?: readonly string[];
  readonly grammar?: string;
}

const FLAGS: Readonly<Record<keyof StructuredFlags, string>> = {
  jsonSchema: "--json-schema",
  regex: "--regex",
  choice: "--choice",
  grammar: "--grammar",
};

/** Reads the files that they name. @throws OPTION_INVALID for one that can not be read, INPUT_INVALID for one that is no UTF-8 */
export async function structuredOptions(flags: StructuredFlags): Promise<StructuredOptions | undefined> {
  const { jsonSchema, regex, choice, grammar } = flags;
  const given: object = {
    ...(jsonSchema !== undefined && { jsonSchema: await textFile("--json-schema", jsonSchema) }),
    ...(regex !== undefined && { regex }),
    ...(choice !== undefined && { choice }),
    ...(grammar !== undefined && { grammar: await textFile("--grammar", grammar) }),
  };
  const [first, second] = Object.keys(given) as (keyof StructuredFlags)[];
  if (first && second) {
    const names = `${FLAGS[first]} and ${FLAGS[second]}`;
    throw new GlimtError("OPTION_INVALID", `${names} exclude each other: an answer is of one of them.`);
  }
  return first && (given as StructuredOptions);
}

export function toolChoice(flag: string | undefined): ToolChoice | undefined {
  if (flag === undefined || flag === "auto" || flag === "none" || flag === "required") return flag;
  return { name: flag };
}

async function textFile(flag: string, path: string): Promise<string> {
  const bytes = await readFile(path).catch(async (cause) => {
    const reason = await unreadableReason(path, cause);
    throw new GlimtError("OPTION_INVALID", `${flag}: ${path} can not be read: ${reason}.`, { cause });
  });
  return utf8Text(bytes, `${flag}: ${path}`);
}
