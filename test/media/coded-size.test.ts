import { readdirSync, readFileSync } from "node:fs";
import {
  BufferSource,
  EncodedPacketSink,
  Input,
  Logging,
  LogLevel,
  MATROSKA,
  MP4,
  MPEG_TS,
  QTFF,
  WEBM,
} from "mediabunny";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bits } from "../../src/media/movie/bits.ts";
import { codedSizes, describedSizes, type Size } from "../../src/media/movie/coded-size.ts";
import { openContainer } from "../../src/media/movie/container.ts";

const root = `${process.cwd()}/test/golden/data`;
const movies = ["movies", "odd-movies"].flatMap((folder) =>
  readdirSync(`${root}/${folder}`)
    .filter(
      (file) =>
        /\.(mp4|mkv|webm|m2ts|mpegts)$/.test(file) &&
        !/sound-only|mpeg2|mpeg4|open-gop-cut|encrypted/.test(file),
    )
    .map((file) => `${folder}/${file}`),
);
const bytesOf = (file: string) => new Uint8Array(readFileSync(`${root}/${file}`));

/** Codecs store whole blocks. */
const up = (length: number, block: number) => Math.ceil(length / block) * block;

test("each codec says the size that its container says, in whole blocks", async () => {
  Logging.level = LogLevel.Silent;
  const seen = new Set<string>();
  for (const file of movies) {
    const formats = [MP4, QTFF, MATROSKA, WEBM, MPEG_TS];
    const input = new Input({ source: new BufferSource(bytesOf(file)), formats });
    const track = await input.getPrimaryVideoTrack();
    const codec = await track!.getCodec();
    const config = (await track!.getDecoderConfig())!;
    const first = (await new EncodedPacketSink(track!).getFirstKeyPacket())!;
    const sizes = [...describedSizes(codec, config), ...codedSizes(codec, config, first.data)];
    const block = codec === "avc" ? 16 : codec === "hevc" ? 8 : 1;
    const expected = { width: up(config.codedWidth!, block), height: up(config.codedHeight!, block) };
    assert.ok(sizes.length > 0, file);
    for (const size of sizes) assert.equal(size, expected, file);
    seen.add(`${codec} ${config.description ? "described" : "bare"}`);
    input.dispose();
  }
  for (const kind of ["avc described", "avc bare", "hevc described", "hevc bare", "vp8 bare", "vp9 bare"]) {
    assert.ok(seen.has(kind), kind);
  }
  assert.ok([...seen].some((kind) => kind.startsWith("av1")));
});

/** The bits of some numbers in the code of H.264. */
function golomb(...values: readonly number[]): string {
  return values
    .map((value) => (value + 1).toString(2))
    .map((bits) => "0".repeat(bits.length - 1) + bits)
    .join("");
}

function bytes(bits: string): Uint8Array<ArrayBuffer> {
  const whole = bits.padEnd(Math.ceil(bits.length / 8) * 8, "0");
  return Uint8Array.from(whole.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
}

/** Parameters of H.264: profile, level, then what comes before the size. */
function avcParameters(
  profile: number,
  before: string,
  columns: number,
  rows: number,
  isProgressive: boolean,
) {
  const head = Uint8Array.of(0x67, profile, 0, 62);
  return Uint8Array.of(
    ...head,
    ...bytes(`${before}${golomb(columns - 1, rows - 1)}${isProgressive ? 1 : 0}`),
  );
}

const BASELINE = 66;
const HIGH = 100;
const UNTIL_SIZE = `${golomb(0, 0, 0, 0, 1)}0`;
const LARGE = avcParameters(BASELINE, UNTIL_SIZE, 1024, 1024, true);
const table: [name: string, codec: string, packet: Uint8Array, size: Size | undefined][] = [
  ["H.264", "avc", LARGE, { width: 16384, height: 16384 }],
  ["H.264 in fields", "avc", avcParameters(BASELINE, UNTIL_SIZE, 10, 10, false), { width: 160, height: 320 }],
  [
    "H.264 with a cycle of orders",
    "avc",
    avcParameters(BASELINE, `${golomb(0, 0, 1)}0${golomb(0, 0, 2, 5, 6, 1)}0`, 4, 3, true),
    { width: 64, height: 48 },
  ],
  [
    "H.264 with lists of scales",
    "avc",
    // One list of which the first change is to 0: the rest of it is as before.
    avcParameters(
      HIGH,
      `${golomb(0, 1, 0, 0)}01${"1"}${golomb(16)}${"0".repeat(7)}${golomb(0, 0, 0, 1)}0`,
      4,
      3,
      true,
    ),
    { width: 64, height: 48 },
  ],
  [
    "VP8",
    "vp8",
    Uint8Array.of(0, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x7f, 0xff, 0xbf),
    { width: 16383, height: 16383 },
  ],
  ["VP8 without a key", "vp8", Uint8Array.of(1, 0, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0), undefined],
  ["VP9", "vp9", bytes(`100000${"10"}${VP9()}0000${"1".repeat(32)}`), { width: 65536, height: 65536 }],
  [
    "VP9 that changes its size",
    "vp9",
    bytes(`100001${"10"}00${"0".repeat(8 + 12)}000${"1".repeat(32)}`),
    { width: 65536, height: 65536 },
  ],
  ["VP9 that keeps its size", "vp9", bytes(`100001${"10"}00${"0".repeat(8 + 12)}1`), undefined],
  ["VP9 that shows another", "vp9", bytes("10001"), undefined],
  ["nothing", "av1", new Uint8Array(0), undefined],
];

function VP9(): string {
  return (0x498342).toString(2).padStart(24, "0");
}

for (const [name, codec, packet, size] of table) {
  test(`${name}: ${size ? `${size.width} x ${size.height}` : "no size"}`, () => {
    const whole = codec === "avc" ? Uint8Array.of(0, 0, 0, 1, ...packet) : packet;
    assert.equal(codedSizes(codec, { codec }, whole), size ? [size] : []);
  });
}

test("numbers past the end are zeros, and end", () => {
  const bits = new Bits(Uint8Array.of(0));
  bits.readGolomb();
  assert.ok(bits.isPastEnd);
});

test("a small container around large pictures is refused before they are decoded", async () => {
  // 64 x 48 outside; the parameters of H.264 say 16384 x 16384.
  const file = bytesOf("odd-movies/plain.mp4");
  const at = Buffer.from(file).indexOf("avcC") + 4 + 8;
  assert.is(file[at], 0x67);
  file.set(LARGE, at);
  const error = await openContainer(file, "made by hand", {}).catch((error) => error);
  assert.is(error.code, "IMAGE_TOO_LARGE", String(error));
  for (const name of ["odd-movies/hidden.webm", "odd-movies/vp9.mp4"]) {
    const bytes = bytesOf(name);
    const isVp8 = name.endsWith("hidden.webm");
    const sync = isVp8 ? [0x9d, 1, 0x2a] : [0x49, 0x83, 0x42];
    const place = Buffer.from(bytes).indexOf(Uint8Array.from(sync)) + 3;
    // VP9 has four bits of colours before it.
    bytes.fill(0xff, place + (isVp8 ? 0 : 1), place + 4);
    const movie = await openContainer(bytes, "made by hand", {});
    const error = await movie.packets(0, 1).catch((error) => error);
    assert.is(error.code, "IMAGE_TOO_LARGE", String(error));
    await movie.close();
  }
});

test.run();
