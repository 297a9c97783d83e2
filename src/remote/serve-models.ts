/** The worker's task that models live in: it takes a port, over which the page asks for them, and ends with the worker. */
import { type LoadHere, ModelHost } from "./host.ts";
import type { ModelPort } from "./protocol.ts";

export type ServeModels = {
  serveModels(input: { readonly port: MessagePort }): Promise<void>;
};

/** @param load how this thread loads a model */
export function modelTasks(load: LoadHere): ServeModels {
  return {
    serveModels({ port }) {
      new ModelHost(port as unknown as ModelPort, load);
      return new Promise(() => {});
    },
  };
}
