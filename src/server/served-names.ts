/** What is served under which name: the model, and its adapters. */
import { RequestError } from "../protocols/errors.ts";
import type { ListedModel } from "../protocols/openai/models.ts";
import type { ServedModel } from "../protocols/served-model.ts";

/** What a name stands for. */
export interface NamedModel {
  readonly name: string;
  /** Null: the model as it is. */
  readonly adapter: string | null;
}

export class ServedNames {
  readonly #model: ServedModel;
  readonly #names: readonly string[];
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(model: ServedModel, names: readonly string[]) {
    this.#model = model;
    this.#names = names;
  }

  /** The model's first name, which answers have that ask for none. */
  get first(): string {
    return this.#names[0] as string;
  }

  /** @param asked undefined: the model. @throws RequestError "notFound" */
  find(asked: string | undefined): NamedModel {
    if (asked === undefined || asked === "") return { name: this.first, adapter: null };
    if (this.#names.includes(asked)) return { name: asked, adapter: null };
    if (this.#adapters().includes(asked)) return { name: asked, adapter: asked };
    throw new RequestError(
      "notFound",
      `The model ${JSON.stringify(asked.slice(0, 200))} is not served here; /v1/models lists what is.`,
      { param: "model", code: "model_not_found" },
    );
  }

  list(): ListedModel[] {
    const { maxPositionEmbeddings: contextLength } = this.#model.config.text;
    const common = { created: this.#created, contextLength };
    return [
      ...this.#names.map((id) => ({ id, parent: null, ...common })),
      ...this.#adapters().map((id) => ({ id, parent: this.first, ...common })),
    ];
  }

  /** Those that a request can ask for. */
  #adapters(): string[] {
    return this.#model.adapters.flatMap(({ name, merged }) =>
      merged || this.#names.includes(name) ? [] : [name],
    );
  }
}
