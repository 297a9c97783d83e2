/** Everything that reads what strangers send, by name: files to damage, and what reads them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openAdapter } from "../../src/checkpoint/adapter.ts";
import { parseAdapterConfig } from "../../src/checkpoint/adapter-config.ts";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { readJson } from "../../src/checkpoint/files.ts";
import { openHubFiles } from "../../src/checkpoint/hub/files.ts";
import { openTensors } from "../../src/checkpoint/open-tensors.ts";
import { readWeightFiles } from "../../src/checkpoint/shards.ts";
import { decodeStill } from "../../src/media/decode-still.ts";
import { readSource } from "../../src/media/source.ts";
import { openVideoFile } from "../../src/media/video-file.ts";
import { videoMetadata } from "../../src/media/video-source.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { ChatTemplate, loadChatTemplate } from "../../src/text/chat-template.ts";
import { type ChatMessage, normaliseMessages } from "../../src/text/messages.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { withParsedCalls } from "../../src/text/tool-data.ts";

export interface Reader {
  readonly seeds: readonly Uint8Array[];
  /** What the format's words are made of. */
  readonly words?: readonly Uint8Array[];
  /** May throw a GlimtError. */
  read(bytes: Uint8Array): unknown;
}

const DATA = join(process.cwd(), "test/golden/data");
const CHECKPOINT = join(DATA, "glm_ocr-tiny");
const ADAPTER = join(DATA, "lora/glm_ocr-tiny/vision");
const utf8 = new TextEncoder();
const text = new TextDecoder();
const words = (...list: string[]) => list.map((word) => utf8.encode(word));
/** A letter is a byte. */
const codes = (...list: string[]) => list.map((word) => new Uint8Array(Buffer.from(word, "latin1")));
const file = (path: string) => new Uint8Array(readFileSync(path));
const files = (pattern: RegExp, ...folders: string[]) =>
  folders.flatMap((folder) =>
    readdirSync(join(DATA, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => pattern.test(name))
      .map((name) => file(join(DATA, folder, name)))
      .filter(({ length }) => length < 100_000),
  );

/** The odd files of test/golden/make_stills.py that Pillow reads. */
const oddStills = (pattern: RegExp) =>
  ["bmp", "gif", "png", "tiff", "webp"]
    .filter((format) => pattern.test(`.${format}`))
    .map((format) => JSON.parse(readFileSync(join(DATA, `stills/${format}.json`), "utf8")))
    .flatMap(({ files: odd }: { files: { file: string; huggingface: unknown }[] }) => odd)
    .filter(({ huggingface }) => huggingface !== null)
    .map(({ file: base64 }) => new Uint8Array(Buffer.from(base64, "base64")));

const MOST_PIXELS = 1_000_000;
const MODES = ["default", "huggingface"] as const;

const still = (pattern: RegExp, ...more: string[]): Reader => ({
  seeds: [...files(pattern, "media", "movies"), ...oddStills(pattern)],
  words: codes(...more),
  read: (bytes) =>
    decodeStill(bytes, "fuzzed", {
      mode: MODES[bytes.length % 2] ?? "default",
      maxDecodedPixels: MOST_PIXELS,
    }),
});

/** Opens it, and reads the last frame: decoded, or as the packets that a codec of the system's would be given. */
const video = (pattern: RegExp, ...more: string[]): Reader => ({
  seeds: files(pattern, "movies", "odd-movies"),
  words: codes(...more),
  async read(bytes) {
    const { movie, animation } = await openVideoFile(bytes, "fuzzed", {
      mode: "default",
      maxDecodedPixels: MOST_PIXELS,
    });
    try {
      if (animation) await animation.frame(animation.numFrames - 1);
      else await movie.packets(0, MOST_PACKETS);
    } finally {
      await (animation ?? movie).close();
    }
  },
});
const MOST_PACKETS = 16;

const whole = new Map(
  readdirSync(CHECKPOINT)
    .filter((name) => name !== "cases")
    .map((name) => [name, new Blob([readFileSync(join(CHECKPOINT, name))])]),
);
const checkpointWith = (name: string, bytes: Uint8Array) =>
  blobFiles(new Map([...whole, [name, new Blob([bytes as Uint8Array<ArrayBuffer>])]]));

const JSON_WORDS = words(
  "{",
  "}",
  "[",
  "]",
  "null",
  "NaN",
  "-Infinity",
  "1e999",
  "-1",
  '"',
  "\\u0000",
  "9".repeat(40),
);

/** A file of a checkpoint, read as loading does. */
const checkpointFile = (name: string): Reader => ({
  seeds: [file(join(CHECKPOINT, name))],
  words: JSON_WORDS,
  read: (bytes) => openCheckpoint(checkpointWith(name, bytes)),
});

/** Its header is what is read before loading. */
function weightsHeader(): Uint8Array {
  const all = file(join(CHECKPOINT, "model.safetensors"));
  return all.slice(0, 8 + Number(new DataView(all.buffer).getBigUint64(0, true)));
}

const header = weightsHeader();
const weightsData = file(join(CHECKPOINT, "model.safetensors")).subarray(header.length);

/** A file of a GGUF model, opened, and a row of each tensor read. */
function ggufFile(name: "model.gguf" | "mmproj.gguf", model = "glm4v-tiny"): Reader {
  const pair = {
    "model.gguf": file(join(DATA, `gguf/${model}.gguf`)),
    "mmproj.gguf": file(join(DATA, `gguf/mmproj-${model}.gguf`)),
  };
  return {
    seeds: [pair[name]],
    words: codes(
      "general.alignment",
      "glm4.block_count",
      "glm4.rope.dimension_sections",
      "tokenizer.ggml.tokens",
      "blk.0.attn_q.weight",
      "blk.0.attn_qkv.weight",
      "blk.1.ffn_up_exps.weight",
      "split.count",
      "v.patch_embd.weight.1",
    ),
    async read(bytes) {
      const all = Object.entries({ ...pair, [name]: bytes });
      const blobs = all.map(
        ([file, content]) => [file, new Blob([content as Uint8Array<ArrayBuffer>])] as const,
      );
      const { files, tensors } = await openCheckpoint(blobFiles(new Map(blobs)));
      await loadTokenizer(files);
      await loadChatTemplate(files);
      for (const tensor of tensors.values()) {
        if (tensor.refusal !== undefined) continue;
        const cols = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
        await tensor.readRows(0, 1, new Uint8Array(storageBytes(tensor.format, 1, cols)));
      }
    },
  };
}

const CHAT: readonly ChatMessage<string, string>[] = [
  { role: "system", content: "Be brief." },
  {
    role: "user",
    content: [
      { type: "image", image: "page.png" },
      { type: "text", text: "What is <b>this</b>?" },
    ],
  },
  {
    role: "assistant",
    content: null,
    tool_calls: [
      { type: "function", function: { name: "look", arguments: '{"at": [1, 2.0], "deep": true}' } },
    ],
  },
  { role: "tool", content: "nothing" },
];
const TEMPLATE_WORDS = words(
  "{{",
  "}}",
  "{%",
  "%}",
  "{#",
  "#}",
  " for x in messages ",
  " endfor ",
  " if ",
  " else ",
  " endif ",
  " set x = ",
  " macro m(a, *b) ",
  " endmacro ",
  "range(99999)",
  "|join(',')",
  "|tojson",
  "|sort",
  "|map('upper')",
  "|list",
  " * 99999999",
  " ** 999",
  " ~ ",
  "loop.index",
  "namespace(a=1)",
  "'%s' % ",
  ".split()",
  ".replace('', 'aa')",
  "|indent(9999)",
  "|center(99999)",
  "[::2]",
  " is defined",
  " not in ",
  "x|batch(3)",
  "|format(1)",
  "recursive",
);

/** Files of every kind of JPEG: see make_jpeg.py. */
const jpegKinds = Object.values<{ file: string }>(
  JSON.parse(readFileSync(join(DATA, "jpeg.json"), "utf8")),
).map((row) => new Uint8Array(Buffer.from(row.file, "base64")));
/** Frames, tables, restarts, start, end, scan, and an escaped byte. */
const JPEG_MARKERS = [0xc0, 0xc2, 0xc3, 0xc9, 0xca, 0xc4, 0xcc, 0xd0, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdd, 0];

const HUB_MODEL = { repository: "org/model", revision: "main", file: null };
const LISTING = {
  id: "org/model",
  sha: "0123456789abcdef0123456789abcdef01234567",
  siblings: [
    { rfilename: "config.json", size: 2, blobId: "9e26dfeeb6e641a33dae4961196235bdb965b21b" },
    {
      rfilename: "model.safetensors",
      size: 100,
      blobId: "9e26dfeeb6e641a33dae4961196235bdb965b21c",
      lfs: { sha256: "a".repeat(64), size: 100, pointerSize: 134 },
    },
    { rfilename: "bare.json" },
  ],
};

interface QuantisedRow {
  readonly name: string;
  readonly config: Record<string, unknown>;
}
const QUANTISED: readonly QuantisedRow[] = JSON.parse(readFileSync(join(DATA, "quantised.json"), "utf8"));

/** Opens the tensors of a quantised file under a configuration, and reads every weight that they make. */
async function readQuantised(weights: Uint8Array, config: unknown): Promise<void> {
  const source = checkpointWith("model.safetensors", weights);
  const { tensors } = await readWeightFiles(source);
  for (const tensor of (await openTensors(source, tensors, config, undefined)).values()) {
    if (tensor.refusal !== undefined) continue;
    const [rows = 1, ...rest] = tensor.shape;
    const cols = rest.reduce((product, size) => product * size, 1);
    await tensor.readRows(0, rows, new Uint8Array(storageBytes(tensor.format, rows, cols)));
  }
}

const quantisedFile = (name: string) => file(join(DATA, `quantised/${name}.safetensors`));

/** A file of one way to quantise, and its configuration as it is. */
const quantised = (name: string): [string, Reader] => [
  `quantised ${name}`,
  {
    seeds: [quantisedFile(name)],
    words: JSON_WORDS,
    read: (bytes) => readQuantised(bytes, QUANTISED.find((row) => row.name === name)?.config),
  },
];

/** Configurations of all methods, over one file. */
const quantisationConfig: Reader = {
  seeds: QUANTISED.map(({ config }) => utf8.encode(JSON.stringify(config))),
  words: [...JSON_WORDS, ...words('"group_size"', '"bits"', '"num_bits"', '"gptq"')],
  read: async (bytes) =>
    readQuantised(quantisedFile("w4a16"), await readJson(checkpointWith("any.json", bytes), "any.json")),
};

const tokenizer = await loadTokenizer(blobFiles(whole));
const template = await loadChatTemplate(blobFiles(whole));

export const READERS: Readonly<Record<string, Reader>> = {
  png: still(/\.a?png$/, "IHDR", "PLTE", "tRNS", "IDAT", "IEND", "acTL", "fcTL", "fdAT", "iCCP"),
  jpeg: {
    ...still(/\.jpe?g$/),
    seeds: jpegKinds,
    words: [...JPEG_MARKERS.map((marker) => Uint8Array.of(0xff, marker)), ...codes("Exif\0\0", "Adobe")],
  },
  webp: still(/\.webp$/, "VP8 ", "VP8L", "VP8X", "ANMF", "ALPH", "EXIF"),
  gif: still(/\.gif$/, "\x21\xf9\x04", "NETSCAPE2.0"),
  bmp: still(/\.bmp$/),
  tiff: still(/\.tiff?$/),
  "animated gif": video(/\.gif$/),
  "animated webp": video(/\.webp$/, "ANMF", "ALPH", "VP8L"),
  "animated png": video(/\.png$/, "fcTL", "fdAT"),
  mp4: video(
    /\.(mp4|mov)$/,
    "moov",
    "trak",
    "stbl",
    "stts",
    "stsz",
    "stz2",
    "stsc",
    "stco",
    "ctts",
    "elst",
    "moof",
    "trun",
    "traf",
  ),
  webm: video(
    /\.(webm|mkv)$/,
    "\x1f\x43\xb6\x75",
    "\x16\x54\xae\x6b",
    "\xa3",
    "\x01\xff\xff\xff\xff\xff\xff\xff",
  ),
  "mpeg-ts": video(/\.(mpegts|m2ts)$/, "\x47", "\0\0\x01\x67", "\0\0\x01\x65"),
  "data address": {
    seeds: words(
      "data:image/png;base64,iVBORw0KGgo=",
      "data:,a%20b",
      "data:text/plain;charset=utf-8;base64,QUJD",
    ),
    words: words(";base64", ",", "%", "%zz", "data:", "=", "\n"),
    read: (bytes) => readSource(`data:${text.decode(bytes)}`, {}),
  },
  "config.json": checkpointFile("config.json"),
  "preprocessor_config.json": checkpointFile("preprocessor_config.json"),
  "generation_config.json": checkpointFile("generation_config.json"),
  "gguf model": ggufFile("model.gguf"),
  "gguf tower": ggufFile("mmproj.gguf"),
  "gguf experts": ggufFile("model.gguf", "glm4v_moe-tiny"),
  "model.safetensors": {
    seeds: [header],
    words: [...JSON_WORDS, ...words("data_offsets", "BF16", "F64", "shape")],
    read: (bytes) =>
      openCheckpoint(
        checkpointWith("model.safetensors", new Uint8Array(Buffer.concat([bytes, weightsData]))),
      ),
  },
  "hub listing": {
    seeds: [utf8.encode(JSON.stringify(LISTING))],
    words: [
      ...JSON_WORDS,
      ...words('"siblings"', '"rfilename"', '"lfs"', '"sha256"', "../", "9007199254740991"),
    ],
    async read(bytes) {
      const answer = () => new Response(bytes as Uint8Array<ArrayBuffer>);
      const access = { token: null, endpoint: "https://hub.test", offline: false };
      const files = await openHubFiles(HUB_MODEL, access, null, { fetch: async () => answer(), retries: 0 });
      await files.readAll("config.json");
    },
  },
  quantization_config: quantisationConfig,
  ...Object.fromEntries(
    ["fp8-block", "w4a16-actorder", "nvfp4", "gptq-3-bits", "awq", "mlx-8-bits", "nf4"].map(quantised),
  ),
  "tokenizer.json": {
    seeds: [file(join(CHECKPOINT, "tokenizer.json"))],
    words: JSON_WORDS,
    read: async (bytes) =>
      (await loadTokenizer(checkpointWith("tokenizer.json", bytes))).encode("Hello <|user|> wörld 12345"),
  },
  "adapter_config.json": {
    seeds: files(/adapter_config\.json$/, "lora"),
    words: JSON_WORDS,
    read: async (bytes) =>
      parseAdapterConfig(
        await readJson(checkpointWith("adapter_config.json", bytes), "adapter_config.json"),
        "adapter_config.json",
      ),
  },
  "adapter_model.safetensors": {
    seeds: [file(join(ADAPTER, "adapter_model.safetensors"))],
    words: JSON_WORDS,
    read: (bytes) =>
      openAdapter(
        blobFiles(
          new Map([
            ["adapter_config.json", new Blob([readFileSync(join(ADAPTER, "adapter_config.json"))])],
            ["adapter_model.safetensors", new Blob([bytes as Uint8Array<ArrayBuffer>])],
          ]),
        ),
      ),
  },
  json: {
    seeds: files(/\.json$/, "glm_ocr-tiny/cases"),
    words: JSON_WORDS,
    read: (bytes) => readJson(checkpointWith("any.json", bytes), "any.json"),
  },
  "metadata.json": {
    seeds: words('{"fps": 25, "total_num_frames": 100, "duration": 4.0, "frames_indices": [0, 1, 2]}'),
    words: JSON_WORDS,
    read: async (bytes) =>
      videoMetadata(await readJson(checkpointWith("any.json", bytes), "any.json"), "metadata.json"),
  },
  "chat template": {
    seeds: files(/\.jinja$/, "."),
    words: TEMPLATE_WORDS,
    read: (bytes) => {
      const source = text.decode(bytes);
      const tools = source.includes("tools") ? [{ name: "look" }] : [];
      new ChatTemplate(source).render(normaliseMessages(CHAT).messages, { tools });
    },
  },
  messages: {
    seeds: [utf8.encode(JSON.stringify(CHAT))],
    words: [...JSON_WORDS, ...words('"image_url"', '"video"', '"url"', '"tool_calls"', '"arguments"')],
    async read(bytes) {
      const given = (await readJson(checkpointWith("any.json", bytes), "any.json")) as typeof CHAT;
      template.render(withParsedCalls(normaliseMessages(given).messages));
    },
  },
  "text to tokens": {
    seeds: words(
      "Hello, wörld! 12345 <|user|>\n  \t\u200b\u{1f600} 中文字",
      "a".repeat(300),
      " ".repeat(300),
    ),
    words: words(
      "<|user|>",
      "<think>",
      "<|image|>",
      "\u0301",
      "\u{1f468}\u200d\u{1f469}",
      "'ll",
      "\r\n",
      "\ufffd",
    ),
    read: (bytes) => {
      const given = text.decode(bytes);
      const back = tokenizer.decode(tokenizer.encode(given), { skipSpecialTokens: false });
      if (back !== given.normalize() && back !== given)
        throw new Error(`${JSON.stringify(given)} came back as ${JSON.stringify(back)}`);
    },
  },
};
