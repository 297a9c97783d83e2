/** The WebAssembly backend against the reference backend. */
import { test } from "uvu";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { backendSuite } from "./suite.ts";

backendSuite(test, wasmBackend, ["f32"]);

test.run();
