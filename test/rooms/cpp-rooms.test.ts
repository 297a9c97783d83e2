/** The C++ sources keep the include rule, and the check finds what breaks it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { includeViolations } from "./cpp-rules.ts";

test("the C++ sources keep the include rule", () => {
  assert.equal(includeViolations(process.cwd()), []);
});

/** A tree that is in order; each case plants one include in it. */
const CLEAN: Readonly<Record<string, string>> = {
  "src/program/cpp/program.gen.h": "#include <cstdint>",
  "wasm/kernels/kernel.h": '#include "program.gen.h"',
  "wasm/kernels/gelu.cpp": '#include "kernel.h"',
  "crates-free-native/include/engine_api.h": "#include <stdint.h>",
  "crates-free-native/emulator/block.h": "",
  "crates-free-native/runtime/runtime.h": '#include "../emulator/block.h"',
  "crates-free-native/kernels/device.h": "",
  "crates-free-native/kernels/gelu.cu": '#include "../runtime/runtime.h"\n#include "program.gen.h"',
  "crates-free-native/executor/engine.h": '#include "kernels/device.h"\n#include "engine_api.h"',
  "crates-free-native/tests/cases.cpp": '#include "runtime/runtime.h"\n#include "executor/engine.h"',
  "bindings/src/addon.cpp": '#include "engine_api.h"\n#include "program.gen.h"\n#include <napi.h>',
};

const PLANTED: readonly [name: string, file: string, source: string, expected: RegExp][] = [
  [
    "native code in a WebAssembly kernel",
    "wasm/kernels/gelu.cpp",
    '#include "../../crates-free-native/kernels/device.h"',
    /^wasm\/kernels\/gelu.cpp -> crates-free-native\/kernels\/device.h: wasm\/kernels may include only/,
  ],
  [
    "WebAssembly in a native kernel",
    "crates-free-native/kernels/gelu.cu",
    '#include "kernel.h"',
    /-> wasm\/kernels\/kernel.h/,
  ],
  [
    "the executor in a kernel",
    "crates-free-native/kernels/gelu.cu",
    '#include "executor/engine.h"',
    /kernels may include only/,
  ],
  [
    "the executor in the runtime",
    "crates-free-native/runtime/runtime.h",
    '#include "../executor/engine.h"',
    /runtime may include only/,
  ],
  [
    "a kernel in the runtime",
    "crates-free-native/runtime/runtime.h",
    '#include "kernels/gelu.cu"',
    /runtime may include only/,
  ],
  [
    "the runtime in the emulator",
    "crates-free-native/emulator/block.h",
    '#include "runtime/runtime.h"',
    /emulator may include only/,
  ],
  [
    "the executor in the C interface",
    "crates-free-native/include/engine_api.h",
    '#include "executor/engine.h"',
    /include may include only/,
  ],
  [
    "the executor in the addon",
    "bindings/src/addon.cpp",
    '#include "executor/engine.h"',
    /^bindings\/src\/addon.cpp -> crates-free-native\/executor\/engine.h/,
  ],
  [
    "the executor in the addon, in angle brackets",
    "bindings/src/addon.cpp",
    "  # include <executor/engine.h>",
    /bindings\/src may include only/,
  ],
  [
    "a kernel in the generated header",
    "src/program/cpp/program.gen.h",
    '#include "kernels/device.h"',
    /src\/program\/cpp may include only/,
  ],
  ["a file that is nowhere", "wasm/kernels/gelu.cpp", '#include "gone.h"', /gone.h: is not in the tree/],
  ["a folder of its own", "crates-free-native/things/thing.h", "", /thing.h: belongs to no room/],
];

test("a clean tree has no violation", () => {
  assert.equal(violationsOf(CLEAN), []);
});

for (const [name, file, source, expected] of PLANTED) {
  test(`planted: ${name}`, () => {
    const found = violationsOf({ ...CLEAN, [file]: source });
    assert.is(found.length, 1, found.join("\n"));
    assert.match(found[0] as string, expected);
  });
}

function violationsOf(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), "glimt-cpp-rooms-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return includeViolations(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test.run();
