/** Models whose KV cache has room for few pages. */
import { loadModelOn } from "../../src/api/load-model.ts";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/backend.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { GlimtError, type LoadOptions, type Model } from "../../src/index.ts";

export const BACKENDS = { wasm: createWasmBackend(), reference: createReferenceBackend("f32") };

/** A backend whose caches have at most so many pages. */
function withPages(backend: Backend, limit: { pages: number; pageElements: number }): Backend {
  const open: Backend["open"] = async (options) => {
    const engine: Engine = await backend.open(options);
    const { allocate } = engine;
    engine.allocate = (dtype, rows, cols) => {
      if (cols === limit.pageElements && rows > limit.pages) {
        throw new GlimtError("OUT_OF_MEMORY", `${rows} pages, of ${limit.pages}`);
      }
      return allocate.call(engine, dtype, rows, cols);
    };
    return engine;
  };
  return { ...backend, open };
}

export async function loadWithPages(
  backend: Backend,
  pages: number,
  options: LoadOptions = {},
  location = "test/golden/data/glm_ocr-tiny",
) {
  const limit = { pages, pageElements: -1 };
  const platform = {
    backends: [withPages(backend, limit)],
    openFiles: async (location: unknown) => openDirectory(location as string),
    readFile: async () => new Uint8Array(),
  };
  const model = await loadModelOn(platform as never, location, {
    ...options,
    ...(backend.name === "wasm" && { threads: 1 }),
  });
  const { numKeyValueHeads, headDim } = model.config.text;
  limit.pageElements = 2 * numKeyValueHeads * 16 * headDim;
  return model;
}

/** Whether all pages came back. */
export const isIdle = (model: Model) => {
  const { running, waiting, pages } = model.stats();
  return running === 0 && waiting === 0 && pages.free === pages.total;
};
