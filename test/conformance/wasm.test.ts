/** The WebAssembly backend against the reference backend. */
import { test } from "uvu";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { FLOAT_BLOCK_FORMATS } from "../../src/conformance/case.ts";
import { backendSuite } from "./suite.ts";

backendSuite(test, wasmBackend, ["f32"], { weights: FLOAT_BLOCK_FORMATS });

test.run();
