/** Which files of a folder are a GGUF model's: the one that was named, or those of a folder that holds one model. */
import { GlimtError } from "../../errors.ts";
import type { CheckpointFiles } from "../files.ts";
import { shownName } from "../shown.ts";
import { type GgufFile, readGguf } from "./container.ts";
import { GgufValues } from "./values.ts";

const GGUF = /\.gguf$/i;
/** A part of a model that was split: its name, its number from 1, of how many. */
const PART = /^(.+)-(\d{5})-of-(\d{5})(\.gguf)$/i;
const TOWER = /mmproj/i;
const MOST_PARTS = 1000;

/** A file and the folder it lies in. */
export interface NamedFile {
  readonly files: CheckpointFiles;
  readonly name: string;
}

export interface ModelFiles {
  readonly text: NamedFile;
  readonly tower: NamedFile | null;
}

/** The GGUF file that a location names, or null. */
export function namedGguf(files: CheckpointFiles): NamedFile | null {
  return files.named !== undefined && GGUF.test(files.named) ? { files, name: files.named } : null;
}

/** Those of a folder. Null when it holds none, or can not be listed. @throws CHECKPOINT_INVALID when it holds several models */
export async function ggufInFolder(files: CheckpointFiles): Promise<ModelFiles | null> {
  const all = ((await files.list?.()) ?? []).filter((name) => GGUF.test(name)).sort();
  const names = all.filter(isFirstPart);
  const only = (found: readonly string[], what: string, advice: string) => {
    if (found.length < 2) return found[0];
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${files.location} holds ${found.length} ${what} (${found.slice(0, 5).map(shownName).join(", ")}): ${advice}.`,
    );
  };
  const towers = names.filter((name) => TOWER.test(name));
  const texts = names.filter((name) => !TOWER.test(name));
  const text = only(texts, "GGUF models", "give the path of the one that is meant");
  if (text === undefined) {
    const [later] = all.filter((name) => !isFirstPart(name));
    if (later === undefined) return null;
    throw new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${files.location} has ${shownName(later)}, and not the first part of that model.`,
    );
  }
  const tower = only(
    towers,
    "vision towers",
    "give the path of the model, and of its tower as the option mmproj",
  );
  return { text: { files, name: text }, tower: tower === undefined ? null : { files, name: tower } };
}

/** The one of files that were given by themselves, as a Blob by its name. @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID */
export async function onlyGguf(files: CheckpointFiles): Promise<NamedFile> {
  const names = ((await files.list?.()) ?? []).filter((name) => GGUF.test(name) && isFirstPart(name));
  const towers = names.filter((name) => TOWER.test(name));
  const [name, another] = towers.length > 0 ? towers : names;
  if (name !== undefined && another === undefined) return { files, name };
  const [code, what] = name
    ? (["CHECKPOINT_INVALID", "several"] as const)
    : (["CHECKPOINT_NOT_FOUND", "no"] as const);
  throw new GlimtError(
    code,
    `mmproj: ${files.location} holds ${what} GGUF files of a vision tower: name the file.`,
  );
}

/** The file, and of a model that was split all its parts, in order. @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID */
export async function readParts({ files, name }: NamedFile, signal?: AbortSignal): Promise<GgufFile[]> {
  const names = partsOf(name);
  const parts: GgufFile[] = [];
  for (const part of names) {
    const size = await files.size(part, signal);
    if (size === null) {
      const others = names.length > 1 ? `, one of ${names.length} parts` : "";
      throw new GlimtError("CHECKPOINT_NOT_FOUND", `${files.location} has no ${part}${others}.`);
    }
    parts.push(await readGguf(files, part, size, signal));
  }
  checkParts(parts);
  return parts;
}

function checkParts(parts: readonly GgufFile[]): void {
  const [first] = parts as [GgufFile];
  const wrong = (file: string, what: string) => new GlimtError("CHECKPOINT_INVALID", `${file} ${what}.`);
  for (const [index, part] of parts.entries()) {
    const { name } = part;
    const values = new GgufValues(part);
    const count = values.count("split.count", 1);
    const number = values.count("split.no", 0);
    if (count === parts.length && number === index) continue;
    // llama.cpp writes 0 for a file that is whole.
    if (count === 0 && parts.length === 1) continue;
    throw wrong(
      name,
      `says that it is part ${number + 1} of ${count}, by its name it is ${index + 1} of ${parts.length}`,
    );
  }
  const total = parts.reduce((sum, { tensors }) => sum + tensors.length, 0);
  const claimed = new GgufValues(first).count("split.tensors.count", total);
  if (claimed !== total)
    throw wrong(first.name, `claims ${claimed} tensors in all parts, which hold ${total}`);
}

function isFirstPart(name: string): boolean {
  const number = PART.exec(name)?.[2];
  return number === undefined || Number(number) === 1;
}

/** A split model's files, of which one is named; else that one. @throws CHECKPOINT_INVALID for numbers that can be none */
export function partsOf(name: string): string[] {
  const [, stem, number, total, end] = PART.exec(name) ?? [];
  if (stem === undefined || total === undefined) return [name];
  const length = Number(total);
  const wrong = (what: string) => new GlimtError("CHECKPOINT_INVALID", `${name} is by its name ${what}.`);
  if (Number(number) < 1 || Number(number) > length) throw wrong(`part ${Number(number)} of ${length}`);
  if (length > MOST_PARTS) throw wrong(`of ${length} parts; no model has so many`);
  return Array.from(
    { length },
    (_, part) => `${stem}-${String(part + 1).padStart(5, "0")}-of-${total}${end}`,
  );
}
