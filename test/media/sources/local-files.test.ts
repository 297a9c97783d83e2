/** Local files: what is no plain file is refused at once, and folders hold what they name. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readFrameDirectory, readLocalFile } from "../../../src/media/files.node.ts";
import { type FileSource, readSource, type SourceOptions } from "../../../src/media/source.ts";
import { type SourceDescription, sourceRule } from "../../../src/media/sources/source-rule.ts";
import { loadVideo } from "../../../src/media/video.ts";
import { failure } from "./failure.ts";

const picture = `${process.cwd()}/test/golden/data/media/rgb.png`;
const root = mkdtempSync(join(tmpdir(), "glimt-sources-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
const at = (...names: string[]) => join(root, ...names);
const files = { readFile: readLocalFile, readFrameDirectory };

for (const folder of ["data", "data/pages", "database", "secret", "frames", "data/frames", "data/linked"]) {
  mkdirSync(at(folder));
}
for (const file of [
  "data/a.png",
  "data/pages/b.png",
  "database/c.png",
  "secret/d.png",
  "data/frames/1.png",
]) {
  cpSync(picture, at(file));
}
writeFileSync(at("empty.png"), "");
writeFileSync(at("long.png"), "");
truncateSync(at("long.png"), 2 ** 31);
execFileSync("mkfifo", [at("pipe")]);
symlinkSync(at("pipe"), at("link-to-pipe"));
symlinkSync("round.png", at("round.png"));
symlinkSync(at("data/a.png"), at("good.png"));
symlinkSync(at("gone.png"), at("dangling.png"));

/** [what, path, message]; the code is IMAGE_INVALID unless it is given. */
const BAD: readonly [
  name: string,
  path: string | URL,
  message: RegExp,
  options?: SourceOptions,
  code?: string,
][] = [
  ["a device that never ends", "/dev/zero", /it is a device, and only files are read/],
  ["standard input", "/dev/stdin", /it is a (device|pipe|socket)|0 bytes/],
  ["a pipe", at("pipe"), /it is a pipe/],
  ["a link to a pipe", at("link-to-pipe"), /it is a pipe/],
  ["a folder", at("frames"), /EISDIR: it is a folder/],
  ["what is not there", at("gone.png"), /gone\.png can not be read: ENOENT: no such file/],
  [
    "a link to what is not there",
    at("dangling.png"),
    /ENOENT: it is a link to \S*gone\.png, which is not there/,
  ],
  ["a link to itself", at("round.png"), /ELOOP/],
  ["a file below a file", at("data/a.png/b.png"), /ENOTDIR/],
  ["a long name", at("n".repeat(300)), /ENAMETOOLONG/],
  ["a NUL", `${at("data/a.png")}\0.jpg`, /can not be read: its path holds a letter that no path may/],
  [
    "a NUL in an address",
    new URL(`${pathToFileURL(at("data/a.png")).href}%00.jpg`),
    /a letter that no path may/,
  ],
  ["a file: address of another host", "file://server/share/a.png", /can not be read/],
  ["a file: address with a slash in a name", "file:///tmp%2Fa.png", /can not be read/],
  [
    "another kind of address",
    "ftp://bob:s3cret@host/a.png",
    /ftp:\/\/host\/a\.png can not be read: .* no ftp: ones/,
  ],
  ["an address without its scheme", "//bob:s3cret@host/a.png", /^Image \/\/host\/a\.png can not be read/],
  ["a file that holds more than it says", "/proc/self/status", /holds more than the 0 bytes it says/],
  ["memory", "/proc/self/mem", /can not be read/],
  [
    "a file over the default limit",
    at("long.png"),
    /has 2147483648 bytes.*maxSourceBytes/,
    {},
    "SOURCE_TOO_LARGE",
  ],
  [
    "a file over the limit",
    picture,
    /has \d+ bytes.*limit of 100/,
    { maxSourceBytes: 100 },
    "SOURCE_TOO_LARGE",
  ],
];
for (const [name, path, message, options, code = "IMAGE_INVALID"] of BAD) {
  test(`${name} is refused at once`, async () => {
    const start = performance.now();
    const error = await failure(readSource(path, { ...files, ...options }));
    assert.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`);
    assert.is(error.code, code, error.message);
    assert.match(error.message, message);
    assert.not.match(error.message, /s3cret|\0/);
    assert.ok(error.message.length < 300, error.message);
    const video = await failure(loadVideo(path, { ...files, ...options }));
    assert.ok(["VIDEO_INVALID", "SOURCE_TOO_LARGE"].includes(video.code), video.message);
  });
}

test("a socket is refused", async () => {
  const server = createServer().listen(at("socket"));
  await new Promise((resolve) => server.on("listening", resolve));
  assert.match((await failure(readSource(at("socket"), files))).message, /it is a socket/);
  server.close();
});

test("pipes that nobody writes to hold no reading up", async () => {
  const errors = await Promise.all(Array.from({ length: 8 }, () => failure(readSource(at("pipe"), files))));
  assert.ok(errors.every(({ code }) => code === "IMAGE_INVALID"));
  assert.is((await readFile(picture)).length, (await readSource(picture, files)).bytes.length);
});

test("a file that may not be read is an error", async () => {
  cpSync(picture, at("closed.png"));
  chmodSync(at("closed.png"), 0);
  const error = await readSource(at("closed.png"), files).then(
    () => null,
    (thrown) => thrown,
  );
  // Root may read everything.
  if (process.getuid?.() !== 0) assert.match(error.message, /EACCES: reading it is not permitted/);
});

test("files of every length are read whole", async () => {
  for (const length of [0, 1, 2 ** 23 - 1, 2 ** 23, 2 ** 23 + 1]) {
    const bytes = Buffer.alloc(length, 7);
    writeFileSync(at("some"), bytes);
    const read = await readSource(at("some"), files);
    assert.is(Buffer.compare(read.bytes, bytes), 0, `${length} bytes`);
    assert.is(read.bytes.buffer.byteLength, length, "nothing beside them");
  }
});

test("a file that grows or shrinks while it is read is an error", async () => {
  const path = at("growing");
  for (const change of [() => appendFileSync(path, "more"), () => truncateSync(path, 5)]) {
    writeFileSync(path, Buffer.alloc(2 ** 24));
    let isFirst = true;
    const readFile: typeof readLocalFile = (file, reading) =>
      readLocalFile(file, {
        ...reading,
        progress() {
          if (isFirst) change();
          isFirst = false;
        },
      });
    const error = await failure(readSource(path, { readFile }));
    assert.match(error.message, /(holds more than|ends before) the 16777216 bytes it says/);
  }
});

test("an abort ends a read that is stuck", async () => {
  const controller = new AbortController();
  const task = failure(
    readSource("a.png", { readFile: () => new Promise(() => {}), signal: controller.signal }),
  );
  controller.abort();
  assert.is((await task).code, "ABORTED");
});

test("a read that is stuck is out of time", async () => {
  const start = performance.now();
  const error = await failure(
    readSource("a.png", { readFile: () => new Promise(() => {}), sourceTimeout: 30 }),
  );
  assert.is(error.code, "TIMED_OUT");
  assert.match(error.message, /^Image a\.png gave nothing for 30 ms; raise the option sourceTimeout/);
  assert.ok(performance.now() - start < 20_000);
});

test("no file is left open", async () => {
  const count = async () => {
    const handle = await open(picture);
    await handle.close();
    return handle.fd;
  };
  await readSource(picture, files);
  const before = await count();
  for (const [, path, , options] of BAD) await failure(readSource(path, { ...files, ...options }));
  for (let i = 0; i < 5; i++)
    await readSource(picture, { ...files, sources: sourceRule({ folders: ["/"] }) });
  assert.is(await count(), before);
});

symlinkSync(at("secret/d.png"), at("data/out.png"));
symlinkSync(at("secret/gone.png"), at("data/nowhere.png"));
symlinkSync("../secret", at("data/way"));
symlinkSync("pages", at("data/inner"));
symlinkSync(at("data"), at("alias"));
symlinkSync(at("database"), at("data/other"));
symlinkSync("loop", at("data/loop"));
symlinkSync(at("secret/d.png"), at("data/linked/1.png"));

const IN_DATA = sourceRule({ folders: [at("data")] });
const ALLOWED = [
  at("data/a.png"),
  pathToFileURL(at("data/a.png")),
  pathToFileURL(at("data/a.png")).href,
  pathToFileURL(at("data/a.png")).href.replace("a.png", "%61.png"),
  at("data/pages/b.png"),
  `${at("data")}/./pages/../a.png`,
  `${at("data")}//a.png`,
  at("data/inner/b.png"),
];
for (const path of ALLOWED) {
  test(`in a folder: ${String(path).slice(root.length)} is read`, async () => {
    assert.ok((await readSource(path, { ...files, sources: IN_DATA })).bytes.length > 0);
  });
}

test("a folder may be named by a link or be within another", async () => {
  for (const folders of [[at("alias")], [at("gone"), at("data/pages"), at("data")], ["/"]]) {
    assert.ok(
      (await readSource(at("data/a.png"), { ...files, sources: sourceRule({ folders }) })).bytes.length > 0,
    );
  }
  const both = sourceRule({ folders: [at("data"), at("database")] });
  assert.ok((await readSource(at("data/other/c.png"), { ...files, sources: both })).bytes.length > 0);
  const alias = { ...files, sources: sourceRule({ folders: [at("alias")] }) };
  assert.ok((await readSource(at("alias/a.png"), alias)).bytes.length > 0);
});

const REFUSED: readonly [name: string, path: string | URL][] = [
  ["another file", at("secret/d.png")],
  ["one that is not there", at("secret/gone.png")],
  ["a folder that is not there", at("gone/gone.png")],
  ["..", `${at("data")}/../secret/d.png`],
  ["a folder whose name begins alike", at("database/c.png")],
  ["the folder above", root],
  ["another letter case", at("DATA/a.png")],
  ["a link out", at("data/out.png")],
  ["a link out to nothing", at("data/nowhere.png")],
  ["a folder's link out", at("data/way/d.png")],
  ["a folder's link out to nothing", at("data/way/gone.png")],
  ["a link to another folder", at("data/other/c.png")],
  ["a file: URL", pathToFileURL(at("secret/d.png"))],
  [".. in percent", new URL(`${pathToFileURL(at("data")).href}/%2e%2e/secret/d.png`)],
  ["a device", "/dev/zero"],
  ["a process's root", `/proc/self/root${at("data/a.png")}`],
  ["a process's working folder", "/proc/self/cwd/package.json"],
  ["an address", "http://127.0.0.1:9/a.png"],
  ["a blob: URL", "blob:nodedata:8a3b"],
];
for (const [name, path] of REFUSED) {
  test(`not in a folder: ${name} is refused`, async () => {
    for (const read of [
      () => readSource(path, { ...files, sources: IN_DATA }),
      () => loadVideo(path, { ...files, sources: IN_DATA }),
    ]) {
      const { code, message } = await failure(read());
      assert.is(code, "SOURCE_REFUSED", message);
      assert.match(message, /^(Image|Video) .* is not allowed by the option sources/);
    }
  });
}

test("what is refused is not looked at: errors are the same whether it is there", async () => {
  const said = async (path: string) => {
    const { message } = await failure(readSource(path, { ...files, sources: IN_DATA }));
    return message.replace(path, "PATH");
  };
  const paths = ["secret/d.png", "secret/gone.png", "data/way/d.png", "data/way/gone.png", "secret"];
  const messages = await Promise.all(paths.map((path) => said(at(path))));
  assert.is(new Set(messages).size, 1, messages.join("\n"));
  assert.not.match(messages[0] as string, /ENOENT|secret/);
});

test("what is wrong within a folder is said", async () => {
  const said = async (path: string) => failure(readSource(at(path), { ...files, sources: IN_DATA }));
  assert.match((await said("data/gone.png")).message, /ENOENT/);
  assert.match((await said("data/loop")).message, /ELOOP/);
  assert.match((await said("data/pages")).message, /EISDIR/);
});

test("with hosts alone, or inline, there are no files", async () => {
  for (const sources of ["inline", { hosts: ["public"] }, { folders: [] }, {}] as const) {
    const { code } = await failure(readSource(at("data/a.png"), { ...files, sources: sourceRule(sources) }));
    assert.is(code, "SOURCE_REFUSED");
  }
});

test("a link that is put in place of a folder after the look is seen", async () => {
  const sources = sourceRule({ folders: [at("data")] });
  mkdirSync(at("data/swap"));
  cpSync(picture, at("data/swap/d.png"));
  let isRead = 0;
  for (let i = 0; i < 200; i++) {
    const reading = readSource(at("data/swap/d.png"), { ...files, sources }).then(
      () => "read",
      ({ code }) => code,
    );
    for (let turn = 0; turn < i % 12; turn++) await new Promise(setImmediate);
    renameSync(at("data/swap"), at("data/kept"));
    symlinkSync(at("secret"), at("data/swap"));
    const result = await reading;
    rmSync(at("data/swap"));
    renameSync(at("data/kept"), at("data/swap"));
    if (result === "read") isRead += 1;
    else assert.ok(["SOURCE_REFUSED", "IMAGE_INVALID"].includes(result), result);
  }
  assert.ok(isRead < 200);
});

test("a folder of frames, and each of them, must be allowed", async () => {
  const options = { ...files, sources: IN_DATA };
  const video = await loadVideo(at("data/frames"), options);
  assert.ok((await video.frame(0)).width > 0);
  for (const path of [at("frames"), at("gone"), at("data/way")]) {
    assert.is((await failure(loadVideo(path, options))).code, "SOURCE_REFUSED");
  }
  const linked = await loadVideo(at("data/linked"), options);
  assert.is((await failure(linked.frame(0))).code, "SOURCE_REFUSED");
  symlinkSync(at("secret/d.png"), at("data/linked/metadata.json"));
  assert.is((await failure(loadVideo(at("data/linked"), options))).code, "SOURCE_REFUSED");
  const list = await loadVideo({ frames: [at("data/a.png"), at("secret/d.png")] }, options);
  await list.frame(0);
  assert.is((await failure(list.frame(1))).code, "SOURCE_REFUSED");
});

test("a function is asked for the path, and for where its links lead", async () => {
  const asked: SourceDescription[] = [];
  const sources = sourceRule((source) => {
    asked.push(source);
    return source.kind === "file" && !source.path.includes("secret");
  });
  const options = { ...files, sources };
  assert.ok((await readSource(at("good.png"), options)).bytes.length > 0);
  assert.equal(asked.splice(0), [
    { kind: "file", path: at("good.png") },
    { kind: "file", path: at("data/a.png") },
  ]);
  assert.is((await failure(readSource(at("data/out.png"), options))).code, "SOURCE_REFUSED");
  assert.is((await failure(readSource(new Uint8Array(1), options))).code, "SOURCE_REFUSED");
  assert.is((await failure(readSource("data:,a", options))).code, "SOURCE_REFUSED");
});

test("a function must answer true, in time", async () => {
  const ask = (answer: () => unknown): SourceOptions => ({
    ...files,
    sources: sourceRule(answer as () => boolean),
    sourceTimeout: 50,
  });
  const read = (options: SourceOptions) => readSource(picture as FileSource, options);
  for (const answer of [
    () => false,
    () => 1,
    () => undefined,
    async () => false,
    () => Promise.reject(new Error("no")),
  ]) {
    assert.is((await failure(read(ask(answer)))).code, "SOURCE_REFUSED");
  }
  assert.is((await failure(read(ask(() => new Promise(() => {}))))).code, "TIMED_OUT");
  assert.ok((await read(ask(async () => true))).bytes.length > 0);
});

test.run();
