/** How decoders are asked for frames, and let go: those of Node, and made-up ones that do as browsers' do. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import type { MovieContainer } from "../../src/media/movie/container.ts";
import { MoviePlayer, type PlayerOptions } from "../../src/media/movie/player.ts";
import { loadVideo } from "../../src/media/video.ts";
import { loadWebCodecs } from "../../src/media/webcodecs.node.ts";

const movie = `${process.cwd()}/test/golden/data/movies/h264.mp4`;

/** Packets in the order of decoding: each shows its own place in the order of time. Two key frames; B frames. */
const RANKS = [0, 3, 1, 2, 4, 7, 5, 6];
const KEYS = [0, 4];

interface Log {
  decoded: number[];
  closed: number;
}

function made(log: Log): MovieContainer {
  return {
    index: {
      config: { codec: "made-up" },
      rotation: 0,
      fps: 8,
      frames: Uint32Array.from(RANKS.keys(), (rank) => RANKS.indexOf(rank)),
      isKey: Uint8Array.from(RANKS.keys(), (packet) => Number(KEYS.includes(packet))),
      ranks: Uint32Array.from(RANKS),
    },
    keyFor: async (packet) => (packet < 4 ? 0 : 4),
    packets: async (from, to) =>
      RANKS.slice(from, Math.min(to, from + 2)).map((rank) => {
        log.decoded.push(rank);
        return Uint8Array.of(rank);
      }),
    close: async () => {},
  };
}

interface Behaviour {
  /** As Safari: frames come as they are decoded, with their times. Else in order, with times mixed up. */
  readonly unordered?: boolean;
  /** Decodes nothing after so many packets. */
  readonly stopsAfter?: number;
  readonly failsAt?: number;
  /** Frames of these ranks never come. */
  readonly drops?: readonly number[];
}

/** A decoder whose frames are one pixel that tells its rank. */
function decoderOf(log: Log, { unordered, stopsAfter = 99, failsAt = 99, drops = [] }: Behaviour) {
  return class {
    state = "unconfigured";
    decodeQueueSize = 0;
    ondequeue: (() => void) | null = null;
    #held: number[] = [];
    #count = 0;
    readonly #init: VideoDecoderInit;

    constructor(init: VideoDecoderInit) {
      this.#init = init;
    }

    configure() {
      this.state = "configured";
    }

    decode({ rank, timestamp }: { rank: number; timestamp: number }) {
      this.#count += 1;
      this.decodeQueueSize += 1;
      if (this.#count > stopsAfter) return;
      const count = this.#count;
      setTimeout(() => {
        if (this.state === "closed") return;
        this.decodeQueueSize -= 1;
        this.ondequeue?.();
        if (count === failsAt) {
          this.state = "closed";
          return this.#init.error(new DOMException("no such thing", "EncodingError"));
        }
        if (drops.includes(rank)) return;
        if (unordered) return this.#give(rank, timestamp);
        this.#held.push(rank);
        if (this.#held.length > 2) this.#giveFirst();
      }, 1);
    }

    async flush() {
      await new Promise((resolve) => setTimeout(resolve, 5));
      while (this.#held.length > 0) this.#giveFirst();
    }

    close() {
      this.state = "closed";
    }

    #giveFirst() {
      this.#held.sort((a, b) => a - b);
      this.#give(this.#held.shift() as number, 0);
    }

    #give(rank: number, timestamp: number) {
      const frame = {
        timestamp,
        codedWidth: 1,
        codedHeight: 1,
        allocationSize: () => 4,
        copyTo: async (target: Uint8Array) => target.set([rank, rank, rank, 255]),
        close: () => {
          log.closed += 1;
        },
      };
      this.#init.output(frame as unknown as VideoFrame);
    }
  };
}

/** Runs with a made-up decoder in place. */
async function withDecoder(
  behaviour: Behaviour,
  options: PlayerOptions,
  play: (player: MoviePlayer, log: Log) => Promise<void>,
): Promise<void> {
  const log: Log = { decoded: [], closed: 0 };
  const own = { ...globals(["VideoDecoder", "EncodedVideoChunk", "navigator"]) };
  const userAgent = behaviour.unordered
    ? "Mozilla/5.0 AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15"
    : "other";
  define({
    VideoDecoder: decoderOf(log, behaviour),
    EncodedVideoChunk: class {
      rank: number;
      timestamp: number;
      constructor({ data, timestamp }: { data: Uint8Array; timestamp: number }) {
        this.rank = data[0] as number;
        this.timestamp = timestamp;
      }
    },
    navigator: { userAgent },
  });
  const player = new MoviePlayer(made(log), "made by hand", options);
  try {
    await play(player, log);
  } finally {
    player.stop();
    define(own);
  }
}

function globals(names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, (globalThis as Record<string, unknown>)[name]]));
}

function define(values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
}

async function errorOf(task: Promise<unknown>): Promise<GlimtError> {
  try {
    await task;
  } catch (error) {
    return error as GlimtError;
  }
  throw new Error("no error");
}

for (const unordered of [false, true]) {
  test(`frames are told apart by their ${unordered ? "times" : "order"}, forward and back`, async () => {
    await withDecoder({ unordered }, {}, async (player, log) => {
      for (const index of [0, 1, 2, 3, 4, 5, 6, 7, 2, 2, 6, 5, 0]) {
        assert.is((await player.frame(index)).data[0], index, `frame ${index}`);
      }
      player.stop();
      assert.ok(log.closed >= 13, `${log.closed} frames were closed`);
    });
  });
}

test("decoding begins at the nearest key frame", async () => {
  await withDecoder({}, {}, async (player, log) => {
    await player.frame(6);
    assert.not.ok(log.decoded.includes(1), log.decoded.join());
  });
});

const failures: [
  name: string,
  behaviour: Behaviour,
  options: PlayerOptions,
  code: string,
  message: RegExp,
][] = [
  [
    "a decoder that says nothing",
    { stopsAfter: 2 },
    { stallMilliseconds: 30 },
    "VIDEO_INVALID",
    /does not answer/,
  ],
  ["a decoder that fails", { failsAt: 3 }, {}, "VIDEO_INVALID", /frame 7 of 8 .*no such thing/],
  ["a decoder that leaves frames out", { drops: [7] }, {}, "VIDEO_INVALID", /fewer frames/],
  ["a frame that takes too long", { stopsAfter: 2 }, late(40), "TIMED_OUT", /40 ms/],
  ["too many pixels", {}, { maxDecodedPixels: 0 }, "IMAGE_TOO_LARGE", /made by hand is 1 x 1/],
];
for (const [name, behaviour, options, code, message] of failures) {
  test(`${name} is an error, and the next frame begins anew`, async () => {
    await withDecoder(behaviour, options, async (player) => {
      const error = await errorOf(player.frame(7));
      assert.is(error.code, code, String(error));
      assert.match(error.message, message);
    });
  });
}

function late(timeout: number): PlayerOptions {
  return { timeout, late: (milliseconds) => new GlimtError("TIMED_OUT", `${milliseconds} ms are over`) };
}

test("an abort ends the wait for a frame at once", async () => {
  const control = new AbortController();
  await withDecoder({ stopsAfter: 1 }, { signal: control.signal }, async (player) => {
    const start = performance.now();
    setTimeout(() => control.abort(), 10);
    assert.is((await errorOf(player.frame(5))).code, "ABORTED");
    assert.ok(performance.now() - start < 20_000);
  });
});

test("decoders of Node are collected with the video, also when frames were left", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await loadWebCodecs();
  const Decoder = VideoDecoder;
  const decoders: WeakRef<object>[] = [];
  define({
    VideoDecoder: class extends Decoder {
      constructor(init: VideoDecoderInit) {
        super(init);
        decoders.push(new WeakRef(this));
      }
    },
  });
  const bytes = new Uint8Array(readFileSync(movie));
  for (let i = 0; i < 4; i++) {
    const video = await loadVideo(bytes, { loadWebCodecs });
    for (let index = 0; index < 3; index++) await video.frame(index);
    await video.close();
  }
  define({ VideoDecoder: Decoder });
  for (let i = 0; i < 20 && decoders.some((decoder) => decoder.deref()); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  assert.is(decoders.length, 4);
  assert.is(decoders.filter((decoder) => decoder.deref()).length, 0, "decoders that are still there");
});

test.run();
