/** The engine as Node runs it: every backend. */

import type { Platform } from "./api/platform.ts";
import { cudaBackend } from "./backends/cuda/backend.node.ts";
import { referenceBackend } from "./backends/reference/backend.ts";
import { nodeFiles, wasmBackend } from "./node-files.ts";

export const nodePlatform: Platform = {
  ...nodeFiles,
  backends: [cudaBackend, wasmBackend, referenceBackend],
};
