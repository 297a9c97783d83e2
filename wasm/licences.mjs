/** dist/THIRD_PARTY_LICENSES: whose code is in the bundles and in the WebAssembly modules, and under which terms. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** Of the C library that Emscripten links into its modules: the mathematical functions and moves of memory. */
const C_LIBRARY = `musl, as part of Emscripten (MIT)

Copyright (c) 2005-2020 Rich Felker, et al.
Copyright (c) 2010-2022 The Emscripten Authors
Copyright (c) 2017-2018 Arm Limited

${MIT}

Some of its mathematical functions are Sun's:

Copyright (C) 1993, 2004 by Sun Microsystems, Inc. All rights reserved.
Developed at SunPro, a Sun Microsystems, Inc. business.
Permission to use, copy, modify, and distribute this software is freely granted, provided that this notice is preserved.

Code that LLVM's compiler puts into what it compiles is under the Apache License 2.0 with LLVM exceptions, which ask for
no notice.`;

/** Crates that the Rust of a codec was compiled with, all of which may be taken under the Apache License 2.0. */
const CRATES = {
  crc32fast: "MIT OR Apache-2.0, Sam Rijs, Alex Crichton",
  fdeflate: "MIT OR Apache-2.0, The image-rs Developers",
  flate2: "MIT OR Apache-2.0, Alex Crichton, Josh Triplett",
  miniz_oxide: "MIT OR Zlib OR Apache-2.0, Frommi, oyvindln",
  png: "MIT OR Apache-2.0, The image-rs Developers",
};

/** What a package's licence asks for beside its text. */
const SOURCES = {
  "MPL-2.0": (name, version) =>
    `It is unchanged. Its source code is in the package ${name} ${version} of npm's registry, under the terms below.`,
};

/**
 * @param root folder of the repository
 * @param inputs files whose code is in the bundles, relative to it
 */
export async function licences(root, inputs) {
  const folders = new Set(inputs.flatMap((input) => input.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/) ?? []));
  const packages = await Promise.all([...folders].sort().map((folder) => packageLicence(root, folder)));
  const codecs = [...folders].filter((folder) => folder.startsWith("node_modules/@jsquash/"));
  const crates = (await Promise.all(codecs.map((folder) => cratesOf(join(root, folder))))).flat().sort();
  return [
    "glimt contains code of these packages. glimt itself: LICENSE.\n",
    ...packages,
    section(C_LIBRARY),
    section(
      [
        "Crates in the Rust codecs, and Rust's standard library (MIT OR Apache-2.0, The Rust Project Developers),",
        "under the Apache License 2.0, whose text stands above:\n",
        ...crates.map(([name, version]) => `${name} ${version} (${CRATES[name]})`),
      ].join("\n"),
    ),
  ].join("\n");
}

async function packageLicence(root, folder) {
  const { name, version, license } = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
  const files = await readdir(join(root, folder), { recursive: true });
  const wanted = files.filter((file) => /^(codec\/)?(licen[cs]e|notice|copying)[^/]*$/i.test(file)).sort();
  if (wanted.length === 0) throw new Error(`${name} has no licence file to publish with its code.`);
  const texts = await Promise.all(wanted.map((file) => readFile(join(root, folder, file), "utf8")));
  const source = SOURCES[license]?.(name, version);
  return section(
    [
      `${name} ${version} (${license})`,
      ...(source ? [source] : []),
      ...texts.map((text) => text.trim()),
    ].join("\n\n"),
  );
}

function section(text) {
  return `${"=".repeat(80)}\n${text}\n`;
}

/** Names and versions of crates, which a module says in the messages of its panics. */
async function cratesOf(folder) {
  const files = await readdir(folder, { recursive: true });
  const found = new Map();
  for (const file of files.filter((name) => name.endsWith(".wasm"))) {
    const text = await readFile(join(folder, file), "latin1");
    for (const [, name, version] of text.matchAll(/crates\.io-[^/]*\/([\w-]+?)-(\d+\.\d+\.\d+)\//g)) {
      if (!(name in CRATES))
        throw new Error(`${file} has the crate ${name}, whose licence is not known here.`);
      found.set(name, version);
    }
  }
  return [...found];
}
