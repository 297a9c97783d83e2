/** Directories in which other things lie than files that stay as they are. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { fileError } from "../../src/checkpoint/file-errors.ts";
import type { CheckpointFiles } from "../../src/checkpoint/files.ts";
import { failure } from "./fixtures.ts";

const root = mkdtempSync(join(tmpdir(), "glimt-directory-"));
test.after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
/** A new directory in which `name` is what `make` puts there. */
async function directoryWith(name: string, make: (path: string) => void): Promise<CheckpointFiles> {
  const directory = join(root, String(count++));
  mkdirSync(directory);
  make(join(directory, name));
  return openDirectory(directory);
}

const READS: Record<string, (files: CheckpointFiles) => Promise<unknown>> = {
  size: (files) => files.size("config.json"),
  readAll: (files) => files.readAll("config.json"),
  readInto: (files) => files.readInto("config.json", 0, new Uint8Array(4)),
};

const NO_FILES: Record<string, (path: string) => void> = {
  "a pipe": (path) => execFileSync("mkfifo", [path]),
  "a device without end": (path) => symlinkSync("/dev/zero", path),
  "a link to itself": (path) => symlinkSync(path, path),
};

if (process.platform !== "win32") {
  for (const [what, make] of Object.entries(NO_FILES)) {
    for (const [kind, read] of Object.entries(READS)) {
      test(`${what} in place of a file: ${kind} is refused at once`, async () => {
        const error = await failure(async () => read(await directoryWith("config.json", make)));
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, "config.json");
      });
    }
  }

  test("a file without permission is refused by name", async () => {
    const files = await directoryWith("config.json", (path) => {
      writeFileSync(path, "{}");
      chmodSync(path, 0);
    });
    // Who may read everything is refused nothing.
    if (process.getuid?.() === 0) return;
    const error = await failure(() => files.readAll("config.json"));
    assert.is(error.code, "CHECKPOINT_INVALID");
    assert.match(error.message, "no permission");
  });
}

test("a directory in place of a file is no file; where one must be, it is named", async () => {
  const files = await directoryWith("config.json", (path) => mkdirSync(path));
  assert.is(await files.size("config.json"), null);
  assert.is(await files.readAll("config.json"), null);
  const error = await failure(() => openCheckpoint(files));
  assert.is(error.code, "CHECKPOINT_NOT_FOUND");
  assert.match(error.message, "config.json is a directory");
  assert.is(
    (await failure(() => files.readInto("config.json", 0, new Uint8Array(1)))).code,
    "CHECKPOINT_INVALID",
  );
});

test("a file in place of the directory, and paths that no file system takes", async () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  for (const path of [file, join(file, "below"), "x".repeat(5000), join(root, "y".repeat(300)), "a\0b", ""]) {
    const error = await failure(() => openDirectory(path));
    assert.is(error.code, "CHECKPOINT_NOT_FOUND");
    assert.ok(error.message.length < 400, error.message);
  }
});

test("a file of more bytes than such a file can have is not read", async () => {
  const files = await directoryWith("config.json", (path) => {
    writeFileSync(path, "");
    truncateSync(path, 65 << 20);
  });
  assert.match((await failure(() => files.readAll("config.json"))).message, "more than 64 MiB");
});

test("weights that are replaced or go on being written while they are read are told", async () => {
  const changes: ((path: string) => void)[] = [
    (path) => appendFileSync(path, "more"),
    (path) => utimesSync(path, 1e9, 1e9),
    (path) => {
      rmSync(path);
      writeFileSync(path, new Uint8Array(50));
    },
  ];
  for (const change of changes) {
    const name = "model.safetensors";
    const files = await directoryWith(name, (path) => writeFileSync(path, new Uint8Array(100)));
    await files.size(name);
    await files.readInto(name, 0, new Uint8Array(10));
    change(join(files.location, name));
    const error = await failure(() => files.readInto(name, 10, new Uint8Array(10)));
    assert.is(error.code, "CHECKPOINT_INVALID");
    assert.match(error.message, "changed while it was read");
  }
});

test("what a file system says is said in words", () => {
  for (const [code, words] of Object.entries({
    EACCES: "no permission",
    EPERM: "no permission",
    ELOOP: "round in a circle",
    EISDIR: "is a directory",
    EMFILE: "too many files",
    EBUSY: "resource busy",
  })) {
    const error = fileError("/models/ocr/config.json", Object.assign(new Error("resource busy"), { code }));
    assert.is(error.code, "CHECKPOINT_INVALID");
    assert.match(error.message, words);
  }
});

test("what Deno is not allowed to read names the flag", () => {
  for (const name of ["NotCapable", "PermissionDenied"]) {
    const error = fileError("/models/ocr", Object.assign(new Error("Requires read access"), { name }));
    assert.match(error.message, "--allow-read=/models/ocr");
  }
});

/** How often this process has the file open. */
function timesOpen(path: string): number {
  const links = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return links.filter((link) => link === path).length;
}

if (process.platform === "linux") {
  test("a file stays open while reads of it are expected, once, and no longer", async () => {
    const name = "model.safetensors";
    const bytes = Uint8Array.from({ length: 100 }, (_, at) => at);
    const files = await directoryWith(name, (path) => writeFileSync(path, bytes));
    const path = join(realpathSync(files.location), name);
    const read = async (offset: number) => {
      const into = new Uint8Array(10);
      await files.readInto(name, offset, into);
      assert.equal(into, bytes.slice(offset, offset + 10));
    };
    await read(0);
    assert.is(timesOpen(path), 0);
    files.expectReads?.([{ file: name, offset: 0, bytes: 100 }]);
    await Promise.all([read(0), read(30), read(50)]);
    await read(90);
    assert.is(timesOpen(path), 1);
    const cut = await failure(() => files.readInto(name, 95, new Uint8Array(10)));
    assert.match(cut.message, /ends before byte 105/);
    appendFileSync(path, "more");
    // It is looked at now and then.
    const changed = await failure(async () => {
      for (;;) await read(0);
    });
    assert.match(changed.message, "changed while it was read");
    files.expectReads?.([]);
    while (timesOpen(path) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
}

test.run();
