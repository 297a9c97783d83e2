/**
 * Small video files that say more than they hold, or send the reader in circles: each ends soon, in an error or with
 * the frames of the file it was made of. Where nothing can be ended from outside (no workers) this is what protects.
 */
import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openContainer } from "../../src/media/movie/container.ts";
import { checkReordering } from "../../src/media/movie/mpeg-ts-guard.ts";

const root = `${process.cwd()}/test`;
const read = (path: string) => new Uint8Array(readFileSync(`${root}/${path}`));
const plain = read("golden/data/odd-movies/plain.mp4");
const fragments = read("golden/data/odd-movies/fragments.mp4");
const webm = read("golden/data/odd-movies/hidden.webm");

type Part = Uint8Array | readonly number[];

function join(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
}
function many(count: number, part: Part): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count * part.length);
  for (let i = 0; i < count; i++) bytes.set(part, i * part.length);
  return bytes;
}
const u32 = (...values: readonly number[]) => {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setUint32(4 * i, value);
  });
  return bytes;
};
const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
const box = (name: string, ...body: readonly Part[]) => {
  const content = join(...body);
  return join(u32(content.length + 8), letters(name), content);
};

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Start and end of the box at a path of names. */
function find(file: Uint8Array, path: readonly string[], from = 0, to = file.length): [number, number] {
  for (let at = from; at + 8 <= to; ) {
    const end = at + view(file).getUint32(at);
    if (String.fromCharCode(...file.subarray(at + 4, at + 8)) === path[0]) {
      return path.length === 1 ? [at, end] : find(file, path.slice(1), at + 8, end);
    }
    at = end;
  }
  throw new Error(`no ${path.join("/")}`);
}

/** The file with another box at a path; the boxes around it grow with it. */
function replaced(file: Uint8Array, path: readonly string[], box: Part): Uint8Array {
  const [start, end] = find(file, path);
  const made = join(file.subarray(0, start), box, file.subarray(end));
  for (let depth = 1; depth < path.length; depth++) {
    const [at] = find(file, path.slice(0, depth));
    view(made).setUint32(at, view(file).getUint32(at) + made.length - file.length);
  }
  return made;
}

const STBL = ["moov", "trak", "mdia", "minf", "stbl"];
/** The plain file with another table, or with more in its place. */
const withTable = (name: string, ...boxes: readonly Part[]) =>
  replaced(plain, [...STBL, name], boxes.length > 0 ? join(...boxes) : []);
/** With more boxes at the end of one of its boxes. */
function withMore(file: Uint8Array, path: readonly string[], ...boxes: readonly Part[]): Uint8Array {
  const [start, end] = find(file, path);
  return replaced(file, path, box(path.at(-1) as string, file.subarray(start + 8, end), ...boxes));
}
const MOST = 0xffffffff;
/** Flags and number of samples, which all have the default size. */
const run = (samples: number, flags = 0) => box("trun", u32(flags, samples));
const track = plain.subarray(...find(plain, ["moov", "trak"]));
const nested = (name: string, depth: number, inner: Part): Uint8Array => {
  const sizes = Array.from({ length: depth }, (_, i) => u32(inner.length + 8 * (depth - i)));
  return join(...sizes.flatMap((size) => [size, letters(name)]), inner);
};

/** An element of WebM: id and content, its size in eight bytes. */
const element = (id: readonly number[], ...body: readonly Part[]) => {
  const content = join(...body);
  return join(id, [1, 0, 0, 0], u32(content.length), content);
};
const UNKNOWN = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const EBML = element([0x1a, 0x45, 0xdf, 0xa3], element([0x42, 0x82], letters("webm")));
const SEGMENT = [0x18, 0x53, 0x80, 0x67];
const CLUSTER = [0x1f, 0x43, 0xb6, 0x75];
const TRACKS = [0x16, 0x54, 0xae, 0x6b];
const trackEntry = (...more: readonly Part[]) =>
  element(
    [0xae],
    element([0xd7], [1]),
    element([0x83], [1]),
    element([0x86], letters("V_VP8")),
    element([0xe0], element([0xb0], [64]), element([0xba], [48])),
    ...more,
  );
const matroska = (...parts: readonly Part[]) => join(EBML, element(SEGMENT, ...parts));
const cluster = (...blocks: readonly Part[]) => element(CLUSTER, element([0xe7], [0]), ...blocks);
/** Short form: track 1, time 0, flags, data. */
const block = (flags: number, data: readonly number[]) => [
  0xa3,
  0x80 | (4 + data.length),
  0x81,
  0,
  0,
  flags,
  ...data,
];
const tracks = element(TRACKS, trackEntry());

const stream = read("golden/data/odd-movies/copied.mpegts");
const VIDEO_PID = 0x100;
const isVideo = (at: number) => (view(stream).getUint16(at + 1) & 0x1fff) === VIDEO_PID;
const firstVideo = Array.from({ length: stream.length / 188 }, (_, i) => i * 188).find(isVideo) as number;
/** The packet where the first frame begins. */
const videoStart = stream.subarray(firstVideo, firstVideo + 188);
/** A packet of the video; 0x40 begins a part of it. */
const streamPacket = (flags: number, payload: Part) =>
  join(
    [0x47, flags | (VIDEO_PID >> 8), VIDEO_PID & 255, 0x10],
    payload,
    new Array(184 - payload.length).fill(0),
  );
/** Slices of H.264 that each begin a picture. */
const frames = (count: number) => many(count, [0, 0, 1, 0x41, 0xe0, 0]);

const refused: [name: string, file: Uint8Array][] = [
  ["stts without its entries", withTable("stts", box("stts", u32(0, MOST, 1, 1)))],
  ["stts of 2^32 samples", withTable("stts", box("stts", u32(0, 1, MOST, 1)))],
  [
    "stts whose sum is too large",
    withTable("stts", box("stts", u32(0, 100), ...new Array(100).fill(u32(99, 1)))),
  ],
  ["ctts without its entries", withTable("ctts", box("ctts", u32(0, MOST, 1, 1)))],
  ["ctts of 2^32 samples", withTable("ctts", box("ctts", u32(0, 1, MOST, 1)))],
  ["stsz of 2^32 equal sizes", withTable("stsz", box("stsz", u32(0, 1, MOST)))],
  ["stsz without its entries", withTable("stsz", box("stsz", u32(0, 0, MOST, 5)))],
  ["stsz cut short", withTable("stsz", box("stsz", u32(0)))],
  ["stz2 of no bits", withTable("stsz", box("stz2", u32(0, 0, 0x7fffffff)))],
  ["stz2 of 3 bits", withTable("stsz", box("stz2", u32(0, 3, 16), new Array(16).fill(0)))],
  ["stz2 of 4 bits without its entries", withTable("stsz", box("stz2", u32(0, 4, MOST, 0)))],
  ["stz2 of 16 bits without its entries", withTable("stsz", box("stz2", u32(0, 16, MOST, 0)))],
  ["stss without its entries", withTable("stss", box("stss", u32(0, MOST, 1)))],
  ["stsc without its entries", withTable("stsc", box("stsc", u32(0, MOST, 1, 1, 1)))],
  ["stsc of 2^31 samples a chunk", withTable("stsc", box("stsc", u32(0, 1, 1, 0x7fffffff, 1)))],
  ["stsc of 2^32 chunks", withTable("stsc", box("stsc", u32(0, 2, 1, 0, 1, MOST, 1, 1)))],
  ["stsc out of order", withTable("stsc", box("stsc", u32(0, 3, 1, 1, 1, 3, 1, 1, 2, 1, 1)))],
  ["stco without its entries", withTable("stco", box("stco", u32(0, MOST, 48)))],
  ["co64 without its entries", withTable("stco", box("co64", u32(0, MOST, 0, 48)))],
  [
    "elst without its entries",
    replaced(plain, ["moov", "trak", "edts"], box("edts", box("elst", u32(0, MOST, 0)))),
  ],
  ["6000 small stsz", withMore(plain, STBL, many(6000, box("stsz", u32(0, 0, 0))))],
  ["6000 small stts", withMore(plain, STBL, many(6000, box("stts", u32(0, 0))))],
  ["two stbl", withMore(plain, STBL.slice(0, -1), box("stbl", box("stsz", u32(0, 1, MOST))))],
  ["stbl in edts", withMore(plain, ["moov", "trak", "edts"], box("stbl", box("stts", u32(0, 1, MOST, 1))))],
  ["stts in dinf", withMore(plain, [...STBL.slice(0, -1), "dinf"], box("stts", u32(0, 1, MOST, 1)))],
  ["stsz in mdia", withMore(plain, STBL.slice(0, 3), box("stsz", u32(0, 1, MOST)))],
  ["ctts in the index itself", withMore(plain, ["moov"], box("ctts", u32(0, 1, MOST, 1)))],
  ["a table in a track in a track", withMore(plain, ["moov", "trak"], track)],
  ["tracks nested 5000 deep", withMore(plain, ["moov"], nested("trak", 5000, box("stsz", u32(0, 1, MOST))))],
  ["mdia nested 5000 deep", withMore(plain, ["moov"], box("trak", nested("mdia", 5000, [])))],
  ["1001 tracks", withMore(plain, ["moov"], many(1001, box("trak")))],
  [
    "a table larger than the file, in 64 bits",
    withTable("stts", u32(1), letters("stts"), u32(0x7fffffff, MOST, 0, 1, 16, 1)),
  ],
  [
    "a fragment in the index",
    withMore(plain, ["moov"], box("moof", box("traf", box("tfhd", u32(0x38, 1, 1, 0, 0)), run(MOST)))),
  ],
  ["trun of 2^32 samples", withMore(fragments, ["moof", "traf"], run(MOST))],
  ["trun without its entries", withMore(fragments, ["moof", "traf"], run(1000, 0xf00))],
  ["500 trun of 5000 samples", withMore(fragments, ["moof", "traf"], many(500, run(5000)))],
  ["1001 traf", withMore(fragments, ["moof"], many(1001, box("traf")))],
  ["1001 trex", withMore(fragments, ["moov", "mvex"], many(1001, box("trex", u32(0, 9, 0, 0, 0, 0))))],
  ["no ticks a second", timeless()],
  ["WebM: 255 laced frames in a byte", matroska(tracks, cluster(block(0x84, [255])))],
  [
    "WebM: 9000 laced frames",
    matroska(tracks, cluster(many(90, block(0x84, [99, ...new Array(100).fill(0)])))),
  ],
  ["WebM: 70000 frames in a cluster", matroska(tracks, cluster(many(70_000, block(0, []))))],
  [
    "WebM: 60 KB before each frame",
    matroska(element(TRACKS, trackEntry(stripped(60_000))), cluster(many(5000, block(0, [1])))),
  ],
  ["WebM: nine encodings", matroska(element(TRACKS, trackEntry(...new Array(9).fill(stripped(4)))))],
  ["WebM: 1001 tracks", matroska(element(TRACKS, many(1001, trackEntry())), cluster(block(0x80, [0x10])))],
  [
    "WebM: tracks nested 5000 deep",
    join(EBML, SEGMENT, UNKNOWN, TRACKS, UNKNOWN, many(5000, join([0xae], UNKNOWN))),
  ],
  ["WebM: Video in Video 3000 deep", matroska(element(TRACKS, nestedElement([0xe0], 3000)))],
  ["WebM: a table of contents that is one for ever", matroska(seekHeads(1200))],
  [
    "WebM: 20000 clusters of unknown size in a row",
    join(EBML, SEGMENT, UNKNOWN, tracks, many(20_000, join(CLUSTER, UNKNOWN))),
  ],
  [
    "WebM: an element of 2^56-2 bytes",
    join(EBML, SEGMENT, UNKNOWN, TRACKS, [0x01, 255, 255, 255, 255, 255, 255, 254], trackEntry()),
  ],
];

/** The boxes of the description of the only track, twice. */
function describedTwice(): Uint8Array {
  const [start, end] = find(plain, [...STBL, "stsd"]);
  const entry = plain.subarray(start + 16, end);
  return withTable("stsd", box("stsd", u32(0, 2), entry, entry));
}

/** Without ticks. */
function timeless(): Uint8Array {
  const file = plain.slice();
  const [start] = find(file, ["moov", "trak", "mdia", "mdhd"]);
  view(file).setUint32(start + 20, 0);
  return file;
}

const plays: [name: string, file: Uint8Array, frames: number][] = [
  ["100000 equal tfra entries", join(fragments, mfra(100_000)), 16],
  ["sidx of 2^32 entries", join(fragments, box("sidx", u32(0, 1, 1, 0, 0, 0xffff))), 16],
  ["keys of 2^32 entries", withMore(plain, ["moov"], box("meta", u32(0), box("keys", u32(0, MOST)))), 16],
  [
    "saiz and saio of 2^32 entries",
    withMore(plain, STBL, box("saiz", u32(0, 0, MOST)), box("saio", u32(0, MOST))),
    16,
  ],
  [
    "sbgp and subs of 2^32 entries",
    withMore(plain, STBL, box("sbgp", u32(0, 0, MOST)), box("subs", u32(0, MOST))),
    16,
  ],
  ["100000 empty boxes", join(many(100_000, box("free")), plain.subarray(...find(plain, ["ftyp"]))), 0],
  ["two descriptions of samples", describedTwice(), 16],
  ["every frame in one chunk", withTable("stsc", box("stsc", u32(0, 1, 1, 16, 1))), 16],
  ["WebM: an attachment with a number of 200 KB", withAttachment(200_000), 16],
];

refused.push(
  ["MPEG-TS: 30 frames in a packet", join(stream, many(20_000, streamPacket(0x00, frames(30))))],
  [
    "MPEG-TS: 30 frames in each of 3000 starts",
    join(stream, many(3_000, join(videoStart, streamPacket(0, frames(30))))),
  ],
  ["MPEG-TS: nothing but starts", join(stream.subarray(0, 3 * 188), many(5_000, videoStart))],
  [
    "MPEG-TS: a packet that does not begin where it has to",
    join(stream.subarray(0, 20 * 188), [0], stream.subarray(20 * 188)),
  ],
);
plays.push([
  "MPEG-TS: 5000 starts of nothing",
  join(stream, many(5_000, streamPacket(0x40, new Array(184).fill(255)))),
  20,
]);
plays.push([
  "MPEG-TS: 10000 empty packets",
  join(
    stream.subarray(0, 8 * 188),
    many(10_000, join([0x47, 0x1f, 0xff, 0x10], new Array(184).fill(255))),
    stream.subarray(8 * 188),
  ),
  20,
]);

for (const file of readdirSync(`${root}/media/cases`)) {
  if (/^(mp4|webm)-/.test(file)) refused.push([file, read(`media/cases/${file}`)]);
}

/** Many times what any of them takes. */
const MOST_MILLISECONDS = 20_000;

for (const [name, file] of refused) {
  test(`${name} is refused at once`, async () => {
    const start = performance.now();
    const error = await openContainer(file, "made by hand", {}).catch((error) => error);
    assert.is(error.code, "VIDEO_INVALID", error instanceof Error ? String(error) : "it opens");
    assert.match(error.message, /^Video made by hand/);
    assert.ok(performance.now() - start < MOST_MILLISECONDS, `${performance.now() - start} ms`);
  });
}

for (const [name, file, frames] of plays) {
  test(`${name}: nothing of it is read`, async () => {
    const start = performance.now();
    const found = await openContainer(file, "made by hand", {}).catch((error) => error);
    assert.is(found.index?.frames.length ?? 0, frames, String(found.message));
    assert.ok(performance.now() - start < MOST_MILLISECONDS, `${performance.now() - start} ms`);
  });
}

test("a stream that claims to reorder more than its codec can is refused", () => {
  const track = (size: number) => ({ _backing: { getReorderSize: () => size } });
  checkReordering(track(16));
  checkReordering({});
  assert.throws(() => checkReordering(track(17)), /reorder 17 frames/);
  assert.throws(() => checkReordering(track(Number.NaN)), /reorder NaN frames/);
});

test("frames that are all of one moment have no rate", async () => {
  const movie = await openContainer(withTable("stts", box("stts", u32(0, 1, 16, 0))), "made by hand", {});
  assert.is(movie.index.fps === undefined || Number.isFinite(movie.index.fps), true, String(movie.index.fps));
  await movie.close();
});

test("a signal ends reading between two reads", async () => {
  const control = new AbortController();
  const [start, end] = find(plain, ["ftyp"]);
  const file = new Blob([join(plain.subarray(start, end), many(200_000, box("free")), plain.subarray(end))]);
  setTimeout(() => control.abort(), 30);
  const error = await openContainer(file, "made by hand", { signal: control.signal }).catch((error) => error);
  assert.is(error.code, "ABORTED", String(error));
});

function stripped(bytes: number): Uint8Array {
  const settings = element([0x42, 0x55], new Array(bytes).fill(0));
  return element(
    [0x6d, 0x80],
    element([0x62, 0x40], element([0x50, 0x34], element([0x42, 0x54], [3]), settings)),
  );
}

function nestedElement(id: readonly number[], depth: number): Uint8Array {
  const header = id.length + 8;
  const parts = Array.from({ length: depth }, (_, i) =>
    join(id, [1, 0, 0, 0], u32(header * (depth - i - 1))),
  );
  return join(...parts);
}

/** Each points to the next, which lies in it. */
function seekHeads(count: number): Uint8Array {
  const id = [0x11, 0x4d, 0x9b, 0x74];
  const seek = (position: number) =>
    element([0x4d, 0xbb], element([0x53, 0xab], id), element([0x53, 0xac], u32(position)));
  const length = 12 + seek(0).length;
  const parts = Array.from({ length: count }, (_, i) =>
    join(id, [1, 0, 0, 0], u32((count - i) * length - 12), seek((i + 1) * length)),
  );
  return join(...parts);
}

function mfra(entries: number): Uint8Array {
  const content = box("tfra", u32(0, 1, 0, entries), many(entries, [0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1]));
  return box("mfra", content, box("mfro", u32(0, content.length + 24)));
}

/** The WebM file with an attachment before its clusters; its segment has no known size then. */
function withAttachment(bytes: number): Uint8Array {
  const at = Buffer.from(webm).indexOf(Uint8Array.from(SEGMENT));
  const attachment = element(
    [0x19, 0x41, 0xa4, 0x69],
    element([0x61, 0xa7], element([0x46, 0xae], new Array(bytes).fill(7))),
  );
  return join(webm.subarray(0, at + 4), UNKNOWN, attachment, webm.subarray(at + 12));
}

test.run();
