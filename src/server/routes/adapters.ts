/** Adapters that are loaded and unloaded while the server runs, where the host allows it. */
import type { ModelLocation } from "../../checkpoint/location.ts";
import { type ErrorCode, GlimtError } from "../../errors.ts";
import { readLoadAdapter, readUnloadAdapter } from "../../protocols/adapters.ts";
import { RequestError } from "../../protocols/errors.ts";
import type { ServerContext } from "../context.ts";
import { newRoutes, type Routes } from "./routes.ts";

export function adapterRoutes({ model, names, options }: ServerContext): Routes {
  const routes = newRoutes();
  const { adapterLocation } = options;
  if (!adapterLocation) return routes;
  routes.post("/v1/load_lora_adapter", async ({ env: scope }) => {
    const { name, path } = readLoadAdapter(await scope.json());
    if (names.list().some(({ id }) => id === name)) {
      throw new RequestError("invalid", `${JSON.stringify(name)} is the name of something that is served.`, {
        param: "lora_name",
      });
    }
    const location = await adapterLocation(path);
    await model.loadAdapter({ name, location }, { signal: scope.signal }).catch((error) => {
      throw unfit(error, location, path);
    });
    return new Response(`Success: LoRA adapter '${name}' added successfully.`);
  });
  routes.post("/v1/unload_lora_adapter", async ({ env: scope }) => {
    const { name } = readUnloadAdapter(await scope.json());
    if (!model.adapters.some((adapter) => adapter.name === name)) {
      throw new RequestError("notFound", `There is no adapter ${JSON.stringify(name)} here.`, {
        param: "lora_name",
      });
    }
    await model.unloadAdapter(name);
    return new Response(`Success: LoRA adapter '${name}' removed successfully.`);
  });
  return routes;
}

/** Of what is wrong with the adapter itself. */
const UNFIT: readonly ErrorCode[] = [
  "ADAPTER_INVALID",
  "CHECKPOINT_INVALID",
  "CHECKPOINT_NOT_FOUND",
  "WEIGHTS_INVALID",
];

/** An error as the client may see it: with the path that it gave, and not where that lies on the host. */
function unfit(error: unknown, location: ModelLocation, path: string): unknown {
  if (!(error instanceof GlimtError) || !UNFIT.includes(error.code)) return error;
  const { message, code, cause } = error;
  const told = typeof location === "string" ? message.replaceAll(location, path) : message;
  return new RequestError("invalid", told, { param: "lora_path", code: code.toLowerCase(), cause });
}
