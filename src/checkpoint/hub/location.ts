/** What people give for a model on Hugging Face: its id, with a revision or the name of a GGUF file; or one of its pages. */
import { GlimtError } from "../../errors.ts";
import { percentDecoded } from "../../http/percent.ts";
import { withoutCredentials } from "../address.ts";
import { shownName } from "../shown.ts";

export interface HubLocation {
  /** ORG/NAME. */
  readonly repository: string;
  /** A branch, a tag, or a commit. */
  readonly revision: string;
  /** The GGUF file that is meant, by its path in the repository; null: a checkpoint in Hugging Face's own layout. */
  readonly file: string | null;
}

export const HUB = "https://huggingface.co";
const HUB_HOSTS = ["huggingface.co", "www.huggingface.co", "hf.co"];
const MAIN = "main";
/** Behind ORG/NAME: a page of the model, or its files. */
const PAGES = ["tree", "blob", "raw", "commits", "commit", "discussions"];
const WITH_REVISION = ["tree", "blob", "raw", "resolve"];

const PART = /^\w[\w.-]{0,95}$/;
const ID = /^(\w[\w.-]*\/\w[\w.-]*?)(?:@([^:]+?))?(?:[/:]([\w./ -]+\.gguf))?$/i;
const COMMIT = /^[0-9a-f]{40}$/;

export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** A path of plain names, downwards: what may be a file's name in a cache. */
export function isPlainPath(path: string): boolean {
  const parts = path.split("/");
  const isPlain = (part: string) => /^[\w .+@=,()[\]~-]+$/.test(part) && !/^\.{1,2}$/.test(part);
  return path.length <= 500 && parts.every(isPlain);
}

/** "zai-org/GLM-OCR", "org/name@v1.0", "org/name/model.gguf", "hf://org/name"; null for what is none of these. */
export function parseHubId(text: string): HubLocation | null {
  const id = text.replace(/^hf:\/*/i, "").replace(/\/$/, "");
  const [, repository = "", revision = MAIN, file = null] = ID.exec(id) ?? [];
  return hubLocation(repository, revision, file);
}

/** The model whose page or GGUF file an address is; null for every other address, that of a checkpoint's files too. */
export function modelOfPage(url: URL, endpoint = HUB): HubLocation | null {
  // What is none is said when it is asked.
  const base = new URL(URL.canParse(endpoint) ? endpoint : HUB);
  if (!HUB_HOSTS.includes(url.hostname) && url.origin !== base.origin) return null;
  const below =
    url.origin === base.origin ? base.pathname.split("/").filter((part) => part !== "").length : 0;
  const parts = url.pathname.split("/").filter((part) => part !== "");
  const [org = "", name = "", kind, revision, ...path] = parts.slice(below).map(percentDecoded);
  const file = path.join("/");
  const isGguf = /\.gguf$/i.test(file) && WITH_REVISION.includes(kind ?? "");
  if (kind !== undefined && !PAGES.includes(kind) && !isGguf) return null;
  const hasRevision = kind !== undefined && WITH_REVISION.includes(kind) && revision !== undefined;
  return hubLocation(`${org}/${name}`, hasRevision ? revision : MAIN, isGguf ? file : null);
}

function hubLocation(repository: string, revision: string, file: string | null): HubLocation | null {
  const parts = repository.split("/");
  // As the Hub has it; "--" stands for the slash in a cache's folders.
  const isName = (part: string) => PART.test(part) && !part.includes("--") && !part.includes("..");
  if (parts.length !== 2 || !parts.every(isName)) return null;
  if (!isPlainPath(revision) || revision.startsWith("-") || (file !== null && !isPlainPath(file)))
    return null;
  return { repository, revision, file };
}

/** @throws OPTION_INVALID for what is no id of a model */
export function requireHubId(text: string, endpoint?: string): HubLocation {
  const isPage = /^https?:/i.test(text) && URL.canParse(text);
  const found = isPage ? modelOfPage(new URL(text), endpoint) : parseHubId(text);
  if (found) return found;
  throw new GlimtError(
    "OPTION_INVALID",
    `"${shownName(withoutCredentials(text))}" is no model on the Hub: give ORG/NAME, ORG/NAME@REVISION, ORG/NAME/FILE.gguf, or its page's address.`,
  );
}

/** As messages name it. */
export function shownHubLocation({ repository, revision }: HubLocation): string {
  return revision === MAIN ? repository : `${repository}@${revision}`;
}
