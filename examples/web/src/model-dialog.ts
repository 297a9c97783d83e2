/** Choosing a model: the demo's, one of the Hub or of an address, or a folder of the visitor's. */
import { listModels, removeModel } from "glimt";
import { DEMO, type ModelChoice, SUGGESTED } from "./choice.ts";
import { byId, element } from "./dom.ts";
import { downloadSize } from "./download-size.ts";
import { bytes } from "./format.ts";
import { type Notice, noticeOf, plainHttpNotice } from "./words.ts";

/** Above it a download is asked about first. */
const LARGE_BYTES = 1e9;
/** What the page's policy (build.mjs) refuses, with many words in the console and none for the visitor. */
const PLAIN_HTTP = /^http:\/\/(?!(localhost|127\.0\.0\.1)([:/]|$))/i;

export class ModelDialog {
  readonly #dialog = byId("model-dialog", HTMLDialogElement);
  readonly #choose: (choice: ModelChoice) => void;
  readonly #refuse: (notice: Notice) => void;
  #sizing: AbortController | null = null;

  /** @param choose what is to be loaded. @param refuse why what was asked for can not be looked at */
  constructor(choose: (choice: ModelChoice) => void, refuse: (notice: Notice) => void) {
    this.#choose = choose;
    this.#refuse = refuse;
    byId("hub-names", HTMLDataListElement).append(...SUGGESTED.map((value) => element("option", { value })));
    byId("use-demo", HTMLButtonElement).addEventListener("click", () =>
      this.#end({ ...DEMO, ...this.#how() }),
    );
    byId("hub-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#askHub(byId("hub-name", HTMLInputElement).value.trim());
    });
    const folder = byId("folder", HTMLInputElement);
    byId("choose-folder", HTMLButtonElement).addEventListener("click", () => folder.click());
    folder.addEventListener("change", () => {
      const files = [...(folder.files ?? [])];
      const name = files[0]?.webkitRelativePath.split("/")[0] || files[0]?.name;
      folder.value = "";
      if (name) this.#end({ name, location: files, ...this.#how() });
    });
    byId("confirm-back", HTMLButtonElement).addEventListener("click", () => this.#confirm(null));
    this.#dialog.addEventListener("close", () => this.#sizing?.abort());
  }

  open(): void {
    this.#confirm(null);
    this.#dialog.showModal();
    this.#showCached();
  }

  /** How to load whichever is chosen. */
  #how(): Pick<ModelChoice, "dtype" | "detail"> {
    const dtype = byId("dtype", HTMLSelectElement).value;
    const detail = byId("detail", HTMLSelectElement).value;
    return {
      ...((dtype === "q8" || dtype === "q4") && { dtype }),
      detail: detail === "full" ? "full" : "quick",
    };
  }

  #hub(): ModelChoice["hub"] {
    const token = byId("hub-token", HTMLInputElement).value.trim();
    const endpoint = byId("hub-endpoint", HTMLInputElement).value.trim();
    return token || endpoint ? { ...(token && { token }), ...(endpoint && { endpoint }) } : undefined;
  }

  #end(choice: ModelChoice): void {
    this.#dialog.close();
    this.#choose(choice);
  }

  /** Large downloads are asked about; how large one is, the Hub says first. */
  async #askHub(location: string): Promise<void> {
    const hub = this.#hub();
    const choice: ModelChoice = { name: location, location, ...this.#how(), ...(hub && { hub }) };
    const barred = [location, hub?.endpoint ?? ""].find(
      (address) => PLAIN_HTTP.test(address) && !address.startsWith(`${origin}/`),
    );
    if (barred) {
      this.#dialog.close();
      return this.#refuse(plainHttpNotice(barred));
    }
    this.#sizing?.abort();
    const control = new AbortController();
    this.#sizing = control;
    this.#confirm(`Asking for the size of ${location}…`);
    try {
      const size = await downloadSize(choice, control.signal);
      if (control.signal.aborted) return;
      if (size <= LARGE_BYTES) return this.#end(choice);
      const text = `${location} is ${bytes(size)} to download. It stays in this browser's storage, so that it is downloaded once.`;
      this.#confirm(text, { name: `Download ${bytes(size)}`, act: () => this.#end(choice) });
    } catch (error) {
      if (!control.signal.aborted) this.#fail(error);
    }
  }

  /** @param text null: back to the choices */
  #confirm(text: string | null, action?: { readonly name: string; readonly act: () => void }): void {
    byId("model-choices", HTMLElement).hidden = text !== null;
    byId("model-confirm", HTMLElement).hidden = text === null;
    byId("model-confirm-text", HTMLElement).textContent = text ?? "";
    const button = byId("confirm-download", HTMLButtonElement);
    button.hidden = action === undefined;
    button.textContent = action?.name ?? "";
    button.onclick = action?.act ?? null;
    if (text === null) this.#sizing?.abort();
  }

  async #remove(repository: string): Promise<void> {
    const hub = this.#hub();
    try {
      await removeModel(repository, { ...(hub && { hub }) });
      await this.#showCached();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#dialog.close();
    const notice = noticeOf(error, "loading", navigator.onLine);
    if (notice) this.#refuse(notice);
  }

  /** What is kept of the Hub. A browser that keeps nothing shows none. */
  async #showCached(): Promise<void> {
    const hub = this.#hub();
    const models = await listModels({ ...(hub && { hub }) }).catch(() => []);
    byId("cached", HTMLElement).replaceChildren(
      ...models.map(({ repository, bytes: size, unfinishedBytes }) => {
        const load = element("button", { type: "button", className: "quiet" }, "Load");
        load.addEventListener("click", () => this.#askHub(repository));
        const remove = element("button", { type: "button", className: "quiet" }, "Remove");
        remove.setAttribute("aria-label", `Remove ${repository} from this device`);
        remove.addEventListener("click", () => this.#remove(repository));
        const kept = unfinishedBytes > 0 ? `${bytes(size)}, not finished` : bytes(size);
        return element("li", {}, element("span", {}, repository), element("small", {}, kept), load, remove);
      }),
    );
  }
}
