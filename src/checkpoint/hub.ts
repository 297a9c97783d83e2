/** What people give for a checkpoint on Hugging Face: a model's page or its id. glimt reads the files behind it. */

const REPOSITORY = /^[\w][\w.-]*\/[\w][\w.-]*$/;
const HUB_HOSTS = ["huggingface.co", "www.huggingface.co", "hf.co"];
/** Behind ORG/NAME: a page of the model, or its files. */
const PAGES = ["tree", "blob", "raw", "commits", "commit", "discussions"];

export function filesAddress(repository: string, revision = "main"): string {
  return `https://huggingface.co/${repository}/resolve/${revision}`;
}

/** ORG/NAME of a location that may be one, or null: "zai-org/GLM-OCR", "hf://zai-org/GLM-OCR". */
export function repositoryId(location: string): string | null {
  const id = location.replace(/^hf:\/*/i, "").replace(/\/$/, "");
  return REPOSITORY.test(id) && !/^\.\.?\//.test(id) ? id : null;
}

/** Where the files of a model's page lie; null for every other address, that of files too. */
export function addressBehindPage(url: URL): string | null {
  if (!HUB_HOSTS.includes(url.hostname)) return null;
  const [org, name, kind, revision] = url.pathname.split("/").filter((part) => part !== "");
  if (!org || !name || !REPOSITORY.test(`${org}/${name}`)) return null;
  if (kind === undefined) return filesAddress(`${org}/${name}`);
  if (!PAGES.includes(kind)) return null;
  return filesAddress(`${org}/${name}`, ["tree", "blob", "raw"].includes(kind) ? revision : undefined);
}
