/** What a line of a chat is: a command, files that were dragged into the terminal, or text. */
import { fileURLToPath } from "node:url";

export const COMMANDS = {
  image: ["PATH", "show the model a picture (file or address) with the next question"],
  video: ["PATH", "show it a video, or a directory of frames"],
  system: ["TEXT", "say what holds for the whole chat; without TEXT nothing does"],
  clear: ["", "forget what was said"],
  save: [
    "FILE",
    "write the chat as JSON, which --messages reads; a file that is there has to be named twice",
  ],
  stats: ["", "tokens, speed and memory"],
  help: ["", "this list"],
  exit: ["", "end (as Ctrl-D)"],
} as const;

export type CommandName = keyof typeof COMMANDS;

export type Typed =
  | { readonly kind: "command"; readonly name: CommandName; readonly rest: string }
  | { readonly kind: "unknown"; readonly name: string }
  | { readonly kind: "files"; readonly paths: readonly string[] }
  | { readonly kind: "text"; readonly text: string };

const VIDEO = /\.(mp4|m4v|mov|webm|mkv|ts|mts|m2ts)$/i;
const PICTURE = /\.(png|apng|jpe?g|webp|gif|tiff?|bmp)$/i;

export const isVideoName = (path: string) => VIDEO.test(path);

/** @param isFile whether there is a file of this name */
export function readTyped(given: string, isFile: (path: string) => boolean): Typed {
  const text = given.trim();
  const [, name = "", rest = ""] = /^\/([a-z]+)(?:\s+(.*))?$/s.exec(text) ?? [];
  if (Object.hasOwn(COMMANDS, name)) return { kind: "command", name: name as CommandName, rest };
  const paths = shellWords(text);
  if (paths.length > 0 && paths.every((path) => (VIDEO.test(path) || PICTURE.test(path)) && isFile(path))) {
    return { kind: "files", paths };
  }
  return name === "" ? { kind: "text", text } : { kind: "unknown", name };
}

/** The paths behind /image and /video: one as it is, or several as a shell would read them. */
export function pathsOf(rest: string, isFile: (path: string) => boolean): string[] {
  return isFile(rest) ? [rest] : shellWords(rest);
}

/**
 * Words as terminals write dragged files: in quotes, with backslashes before blanks, or as file: addresses.
 *
 * @param escapes whether a backslash is before a letter that is meant as it is, and no part of a path
 */
export function shellWords(text: string, escapes = process.platform !== "win32"): string[] {
  const words = text.matchAll(/(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\]|\\|['"])+/g);
  return Array.from(words, ([word]) => {
    const plain = word.replace(/'([^']*)'|"([^"]*)"|\\(.)/g, (whole, single, double, letter) =>
      letter === undefined ? (single ?? double) : escapes ? letter : whole,
    );
    return /^file:\/\//i.test(plain) && URL.canParse(plain) ? fileURLToPath(plain) : plain;
  });
}
