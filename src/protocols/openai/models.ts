/** What is served, as OpenAI's list of models. */

export interface ListedModel {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** Of an adapter: the model that it changes. */
  readonly parent: string | null;
  /** Most tokens of a prompt and its answer. */
  readonly contextLength: number;
}

export function writeModel({ id, created, parent, contextLength }: ListedModel) {
  return {
    id,
    object: "model",
    created,
    owned_by: "glimt",
    root: parent ?? id,
    parent,
    max_model_len: contextLength,
  };
}

export function writeModels(models: readonly ListedModel[]) {
  return { object: "list", data: models.map(writeModel) };
}
