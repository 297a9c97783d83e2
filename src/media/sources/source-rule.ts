/** Where pictures and videos may be read from: the option `sources`. */
import { GlimtError } from "../../errors.ts";
import { readPlain, shown } from "../../given.ts";

/**
 * "any": everything. "inline": only what is given as itself: bytes, Blobs, data: URLs, pixels, features. A list: that,
 * and files in `folders` (links that lead out of them do not count) and what `hosts` serve. A function is asked for
 * each source; what it answers other than true refuses.
 */
export type Sources =
  | "any"
  | "inline"
  | SourceList
  | ((source: SourceDescription) => boolean | Promise<boolean>);

/** Folders and hosts that may be read from. */
export interface SourceList {
  /** Paths; what lies in them or in folders of them may be read. */
  readonly folders?: readonly string[] | undefined;
  /**
   * "example.org", "example.org:8080" (only that port), "*.example.org" (all names below it), or "public": every host
   * all of whose addresses are public ones.
   */
  readonly hosts?: readonly string[] | undefined;
}

/** What a function is told of a source. */
export type SourceDescription =
  | {
      /** An array, a buffer or a Blob. */
      readonly kind: "bytes";
    }
  | {
      /** A data: URL, or text in base64. */
      readonly kind: "data";
    }
  | {
      /** A blob: URL. */
      readonly kind: "blob";
      /** The URL. */
      readonly url: string;
    }
  | {
      /** A file, or a folder of frames. */
      readonly kind: "file";
      /** Absolute; asked again with the real one where links lead elsewhere. */
      readonly path: string;
    }
  | {
      /** What a server answers. */
      readonly kind: "http";
      /** The address without user and password; asked again for each one that it redirects to. */
      readonly url: string;
      /** Of the address, with its port where it names one. */
      readonly host: string;
    };

/** For messages of people you do not know: what they send itself, and what public hosts serve. */
export const PUBLIC_SOURCES: SourceList = /* @__PURE__ */ Object.freeze({
  hosts: /* @__PURE__ */ Object.freeze(["public"]),
});

/** The option, checked. */
export type SourceRule =
  | { readonly type: "any" }
  | { readonly type: "list"; readonly folders: readonly string[]; readonly hosts: readonly HostPattern[] }
  | { readonly type: "ask"; readonly ask: (source: SourceDescription) => Promise<boolean> };

type HostPattern = "public" | { readonly name: string; readonly below: boolean; readonly port: string };

/** @throws OPTION_INVALID */
export function sourceRule(sources: Sources): SourceRule {
  if (sources === "any") return { type: "any" };
  if (sources === "inline") return { type: "list", folders: [], hosts: [] };
  if (typeof sources === "function") {
    return {
      type: "ask",
      ask: async (source) => {
        try {
          return (await sources(source)) === true;
        } catch {
          return false;
        }
      },
    };
  }
  const list = typeof sources === "object" ? readPlain(sources, "sources", "OPTION_INVALID") : sources;
  if (typeof list !== "object" || list === null || Array.isArray(list) || list instanceof Map) {
    throw invalid(
      `sources is ${shown(sources)}, expected "any", "inline", PUBLIC_SOURCES, { folders, hosts } or a function.`,
    );
  }
  const other = Object.keys(list).find((key) => key !== "folders" && key !== "hosts");
  if (other !== undefined) throw invalid(`sources has no ${shown(other)}; it has folders, hosts.`);
  const { folders, hosts } = list as SourceList;
  return {
    type: "list",
    folders: texts("folders", folders).map(folder),
    hosts: texts("hosts", hosts).map(hostPattern),
  };
}

/** "public": if all of the host's addresses are. */
export async function hostDecision(rule: SourceRule, url: URL): Promise<"yes" | "public" | "no"> {
  if (rule.type === "any") return "yes";
  if (rule.type === "ask") {
    return (await rule.ask({ kind: "http", url: url.href, host: url.hostname })) ? "yes" : "no";
  }
  const name = url.hostname.replace(/\.+$/, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  for (const pattern of rule.hosts) {
    if (pattern === "public" || (pattern.port !== "" && pattern.port !== port)) continue;
    if (pattern.below ? name.endsWith(`.${pattern.name}`) : name === pattern.name) return "yes";
  }
  return rule.hosts.includes("public") ? "public" : "no";
}

/** Whether what is given as itself, or by a blob: URL, may be read. */
export async function allows(rule: SourceRule, source: SourceDescription): Promise<boolean> {
  if (rule.type === "ask") return rule.ask(source);
  return rule.type === "any" || source.kind === "bytes" || source.kind === "data";
}

function texts(name: string, given: readonly string[] | undefined): readonly string[] {
  if (given === undefined) return [];
  if (Array.isArray(given) && given.every((text) => typeof text === "string" && text !== "")) return given;
  throw invalid(`sources.${name} must be a list of texts that are not empty.`);
}

function folder(path: string): string {
  if (/^[a-z][a-z\d+.-]+:/i.test(path))
    throw invalid(`sources.folders: ${shown(path)} is an address; give a path.`);
  if (path.includes("\0")) throw invalid(`sources.folders: ${shown(path)} holds a letter that no path may.`);
  return path;
}

function hostPattern(text: string): HostPattern {
  if (text === "public") return text;
  const below = text.startsWith("*.");
  const host = below ? text.slice(2) : text;
  const url = parsed(`http://${host}`);
  // What a URL keeps elsewhere than in its host, and other stars, are no host.
  if (!url || /[*/\\?#@\s]/.test(host) || url.hostname === "") {
    throw invalid(`sources.hosts: ${shown(text)} is no host; give a name, "*.example.org" or "public".`);
  }
  const name = url.hostname.replace(/\.+$/, "");
  return { name, below, port: /:\d+$/.exec(host.replace(/^\[.*\]/, "")) ? url.port || "80" : "" };
}

function parsed(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

function invalid(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", message);
}
