/** A repository of a test's own, on a Hub of its own, with a cache in a folder of its own. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PART_BYTES } from "../../src/checkpoint/hub/cache.ts";
import type { OpenFilesOptions } from "../../src/checkpoint/location.ts";
import { f32, safetensors } from "./fixtures.ts";
import { COMMIT, type HubRepository, type TestHub, withHub } from "./hub-server.ts";

export const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
export const MODEL = "zai-org/GLM-OCR";
export const FOLDER = "models--zai-org--GLM-OCR";

/** Three parts and a bit of weights, and what lies beside them in repositories. */
export const weights = safetensors({
  w: f32(
    [PART_BYTES / 2 + 500],
    Array.from({ length: PART_BYTES / 2 + 500 }, (_, i) => i % 1000),
  ),
});

export function repository(more: Partial<HubRepository> = {}): HubRepository {
  const files = new Map<string, Uint8Array>([
    ["config.json", text({ model_type: "glm_ocr" })],
    ["tokenizer.json", text({ version: "1.0" })],
    ["chat_template.jinja", new TextEncoder().encode("{{ messages }}")],
    ["model.safetensors", weights],
    ["README.md", new TextEncoder().encode("# a model")],
    ["pytorch_model.bin", new Uint8Array(1000)],
    ["pytorch_model.bin.index.json", text({ weight_map: {} })],
    ["onnx/model.json", text({})],
    ["GLM-OCR-Q8_0.gguf", new Uint8Array(3000).fill(7)],
    ["../../escaped.json", text({})],
  ]);
  return { files, commit: COMMIT, ...more };
}

export const NEEDED = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"];

interface Place {
  readonly hub: TestHub;
  readonly cacheDir: string;
  readonly options: OpenFilesOptions;
}

export async function inPlace<T>(
  repositories: Readonly<Record<string, HubRepository>>,
  use: (place: Place) => Promise<T>,
): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), "glimt-hub-"));
  const cacheDir = join(root, "hub");
  try {
    return await withHub(repositories, (hub) =>
      use({ hub, cacheDir, options: { hub: { endpoint: hub.endpoint, cacheDir, token: false } } }),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
}

export const blobsOf = (cacheDir: string) => readdirSync(join(cacheDir, FOLDER, "blobs")).sort();
