/** Prompt features at the level of the processor, against transformers (test/golden/make_prompts.py). */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GlimtError, type Message, openProcessor, type ProcessOptions } from "../../src/index.ts";
import { crc32 } from "../golden/crc32.ts";
import { goldenDataDir } from "../golden/load.ts";

interface GoldenPrompt {
  readonly name: string;
  readonly checkpoint: string;
  /** A template in place of the checkpoint's. */
  readonly template: string | null;
  readonly messages: Message[];
  readonly templateArguments: {
    readonly tools?: object[];
    readonly enable_thinking?: boolean;
    readonly continue_final_message?: boolean;
  };
  readonly videoArguments: { readonly fps?: number; readonly do_sample_frames?: boolean };
  readonly promptText: string;
  readonly inputIds: number[];
  readonly mmTokenTypeIds: number[];
  readonly imageGridThw: number[][];
  readonly videoGridThw: number[][];
  /** Checksums. */
  readonly pixelValues: number | null;
  readonly pixelValuesVideos: number | null;
}

const prompts: GoldenPrompt[] = JSON.parse(readFileSync(join(goldenDataDir, "prompts.json"), "utf8"));
const folder = mkdtempSync(join(tmpdir(), "glimt-prompts-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function checkpointOf({ checkpoint, template }: GoldenPrompt): string {
  const own = join(goldenDataDir, checkpoint);
  if (template === null) return own;
  const copy = join(folder, checkpoint);
  cpSync(own, copy, { recursive: true, filter: (path) => !path.endsWith("cases") });
  cpSync(join(process.cwd(), "test/golden/templates", template), join(copy, "chat_template.jinja"));
  return copy;
}

function withPaths(messages: readonly Message[]): Message[] {
  return messages.map((message) => {
    if (!Array.isArray(message.content)) return message;
    const content = message.content.map((part) => {
      if (part.type === "image") return { ...part, image: join(goldenDataDir, part.image as string) };
      if (part.type === "video") return { ...part, video: join(goldenDataDir, part.video as string) };
      return part;
    });
    return { ...message, content };
  });
}

const checksum = (values: Float32Array | null) =>
  values && crc32(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

for (const golden of prompts) {
  const { tools, enable_thinking: enableThinking, continue_final_message } = golden.templateArguments;
  const { fps: videoFps, do_sample_frames: sampleFrames } = golden.videoArguments;
  const options: ProcessOptions = {
    tools,
    enableThinking,
    continueFinalMessage: continue_final_message,
    videoFps,
    sampleFrames,
  };

  test(`${golden.name} (${golden.checkpoint}) is what transformers makes of it`, async () => {
    const processor = await openProcessor(checkpointOf(golden), { media: "huggingface" });
    const inputs = await processor.process(withPaths(golden.messages), options);
    assert.is(inputs.promptText, golden.promptText);
    for (const field of ["inputIds", "mmTokenTypeIds", "imageGridThw", "videoGridThw"] as const) {
      assert.equal(inputs[field], golden[field], field);
    }
    assert.is(checksum(inputs.pixelValues), golden.pixelValues);
    assert.is(checksum(inputs.pixelValuesVideos), golden.pixelValuesVideos);
  });
}

const named = (name: string) => prompts.find((golden) => golden.name === name) as GoldenPrompt;

test("thinking may be switched as a variable of the template too", async () => {
  const golden = named("thinking off");
  const processor = await openProcessor(checkpointOf(golden), { media: "huggingface" });
  const templateVariables = { enable_thinking: false };
  const inputs = await processor.process(withPaths(golden.messages), { templateVariables });
  assert.equal(inputs.inputIds, golden.inputIds);
});

test("a part's own rate and frames win over the call's", async () => {
  const golden = named("sampled at 1 a second");
  const processor = await openProcessor(checkpointOf(golden), { media: "huggingface" });
  const [message] = withPaths(golden.messages) as [Message];
  const parts = (choices: object) => [
    {
      ...message,
      content: (message.content as object[]).map((part) =>
        "video" in part ? { ...part, ...choices } : part,
      ),
    } as Message,
  ];
  const ids = async (choices: object, options: ProcessOptions) =>
    (await processor.process(parts(choices), options)).inputIds;
  assert.equal(await ids({ fps: 1 }, { videoFps: 4 }), golden.inputIds);
  assert.equal(await ids({ fps: 1 }, { sampleFrames: false }), golden.inputIds);
  assert.equal(await ids({ sampleFrames: false }, { videoFps: 4 }), named("all frames").inputIds);
});

test("a placeholder too many or too few says how many were expected", async () => {
  const processor = await openProcessor(join(goldenDataDir, "glm4v-tiny"));
  const picture = { type: "image", image: join(goldenDataDir, "images/small.png") } as const;
  const failure = async (content: Message["content"]) => {
    try {
      await processor.process([{ role: "user", content: content as string }]);
    } catch (error) {
      const { code, message } = error as GlimtError;
      return `${code}: ${message}`;
    }
    return "no error";
  };
  assert.match(
    await failure([picture, { type: "text", text: "Is <|image|> a word?" }]),
    /INPUT_INVALID: The prompt has 2 image markers \(<\|image\|>\), but 1 image/,
  );
  assert.match(await failure("<|video|>"), /INPUT_INVALID: The prompt has 1 video marker.*but 0 video/);
});

test.run();
