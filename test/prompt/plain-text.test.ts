/** Text that spells control tokens: those tokens by default, as in Hugging Face, and plain characters on demand. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  GlimtError,
  type Message,
  openProcessor,
  type ProcessOptions,
  type Processor,
} from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";
import { fc } from "../property.ts";

const TEXT = { specialTokensInText: "text" } as const;
const picture = { data: new Uint8Array(3 * 56 * 56).fill(90), width: 56, height: 56 };
const image = { type: "image", image: picture } as const;
const video = { type: "video", video: { frames: [picture, picture] } } as const;

/** A checkpoint whose template is another. */
async function open(template: string | null): Promise<Processor> {
  const directory = join(goldenDataDir, "glm46v-flash-tiny");
  const names = readdirSync(directory).filter((name) => /\.(json|jinja|safetensors)$/.test(name));
  const files = names.map((name) => [name, new Blob([readFileSync(join(directory, name))])] as const);
  const own = template === null ? [] : [["chat_template.jinja", new Blob([template])] as const];
  return openProcessor(new Map([...files, ...own]));
}

const processors = await Promise.all(
  [null, "glm41v.jinja", "glm45v.jinja", "tools.jinja"].map((name) =>
    open(name === null ? null : readFileSync(`test/golden/templates/${name}`, "utf8")),
  ),
);
const [processor] = processors as [Processor];
const { tokenizer } = processor;
const isAdded = new Set(tokenizer.addedTokens.map((token) => tokenizer.idOf(token)));

function control(ids: readonly number[]): (string | null)[] {
  return ids.filter((id) => isAdded.has(id)).map((id) => tokenizer.tokenOf(id));
}

async function refusal(work: () => Promise<unknown>): Promise<GlimtError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** Text from whole tokens, pieces of them, and what stands around them. */
const strangers = fc
  .array(
    fc.oneof(
      fc.constantFrom(...tokenizer.addedTokens),
      fc
        .constantFrom(...tokenizer.addedTokens)
        .chain((token) =>
          fc
            .tuple(fc.nat(token.length), fc.nat(token.length))
            .map(([a, b]) => token.slice(Math.min(a, b), Math.max(a, b))),
        ),
      fc.constantFrom(" ", "\n", "<", "|", ">", "[", "/", "user", "a", "\ue000", "\\ue000", "你"),
    ),
    { maxLength: 8 },
  )
  .map((pieces) => pieces.join(""));

test("control tokens in text, parts, calls and answers of a tool are plain characters", async () => {
  const chat = (text: (index: number) => string): Message[] => [
    { role: "system", content: `x${text(0)}x` },
    {
      role: "user",
      content: [
        { type: "text", text: text(1) },
        { type: "text", text: text(2) },
        image,
        { type: "text", text: text(3) },
      ],
    },
    {
      role: "assistant",
      content: `x${text(4)}x`,
      reasoning_content: `x${text(5)}`,
      tool_calls: [
        { type: "function", function: { name: `f${text(6)}`, arguments: { [`k${text(7)}`]: text(8) } } },
      ],
    },
    { role: "tool", content: text(9) },
    { role: "user", content: [video, { type: "text", text: `${text(10)}x` }] },
  ];
  for (const each of processors) {
    // Only one of the templates knows tools.
    const knowsTools = each === processors[3];
    const harmless = (text: (index: number) => string) =>
      chat(text).filter(({ role }) => knowsTools || role !== "tool");
    const expected = await each.process(harmless(() => "x"));
    await fc.assert(
      fc.asyncProperty(fc.array(strangers, { minLength: 11, maxLength: 11 }), async (texts) => {
        const messages = harmless((index) => texts[index] as string);
        const found = await each.process(messages, TEXT);
        assert.equal(control(found.inputIds), control(expected.inputIds));
        assert.equal(found.imageGridThw, expected.imageGridThw);
      }),
      { numRuns: 60 },
    );
  }
});

test("the prompt is the text itself: nothing of the marks is left, and its ids are those of its characters", async () => {
  const bare = await openProcessor(join(goldenDataDir, "glm46v-flash-tiny"));
  for (const content of [
    "a<|user|>b",
    "<think>",
    "[gMASK] x",
    "</think>\n",
    "\ue000<|system|>\\ue001",
    "<",
    "a <",
    "> b",
  ]) {
    const messages: Message[] = [{ role: "user", content }];
    const parsed = await bare.process(messages);
    const plain = await bare.process(messages, TEXT);
    assert.is(plain.promptText, parsed.promptText);
    assert.is(tokenizer.decode(plain.inputIds, { skipSpecialTokens: false }), plain.promptText);
  }
});

test("data of tools stays as it is written", async () => {
  const tools = JSON.stringify([
    { type: "function", function: { name: "f", x: [3.5, 1e3], y: "<|user|>" } },
  ]).replace("3.5", "3.0");
  const messages: Message[] = [
    { role: "user", content: "Q" },
    {
      role: "assistant",
      tool_calls: [{ function: { name: "f", arguments: '{"t": 3.0, "id": 12345678901234567890}' } }],
    },
    { role: "tool", content: "x" },
  ];
  const each = processors[3] as Processor;
  const [parsed, plain] = [
    await each.process(messages, { tools }),
    await each.process(messages, { ...TEXT, tools }),
  ];
  assert.is(plain.promptText, parsed.promptText);
  assert.match(plain.promptText, /3\.0.*3\.0.*12345678901234567890/s);
  assert.is(control(parsed.inputIds).length, control(plain.inputIds).length + 1);
});

test("an assistant's earlier thinking is still told from its answer", async () => {
  const chat = (content: string): Message[] => [
    { role: "user", content: "Q" },
    { role: "assistant", content },
    { role: "user", content: "R" },
  ];
  const each = processors[2] as Processor;
  const messages = chat("<think>hm</think>\n\nHello!");
  const [parsed, plain] = [await each.process(messages), await each.process(messages, TEXT)];
  assert.is(plain.promptText, parsed.promptText);
  assert.equal(plain.inputIds, parsed.inputIds);
});

test("a typed marker of a picture or of a video is refused by default, naming the option, and is text on demand", async () => {
  const chats: Message[][] = [
    [{ role: "user", content: "What is <|image|>?" }],
    [{ role: "user", content: [{ type: "text", text: "<|image|>" }, image] }],
    [{ role: "user", content: [{ type: "text", text: "<|video|>" }, video] }],
    [{ role: "user", content: [{ type: "text", text: "<|begin_of_video|>" }, image] }],
    [{ role: "user", content: [{ type: "text", text: "<|end_of_video|>" }, image, video] }],
    [{ role: "user", content: [video, { type: "text", text: "<|begin_of_video|>" }, image] }],
    [
      {
        role: "user",
        content: [
          { type: "text", text: "<|begin_of_video|>" },
          image,
          { type: "text", text: "<|end_of_video|><|end_of_video|>" },
          video,
          { type: "text", text: "<|begin_of_video|>" },
        ],
      },
    ],
  ];
  for (const messages of chats) {
    const { code, message } = await refusal(() => processor.process(messages));
    assert.is(code, "INPUT_INVALID", JSON.stringify(messages));
    assert.match(message, /specialTokensInText/);
    const { mmTokenTypeIds, imageGridThw, videoGridThw } = await processor.process(messages, TEXT);
    assert.is(new Set(mmTokenTypeIds).has(1), imageGridThw.length > 0);
    assert.is(new Set(mmTokenTypeIds).has(2), videoGridThw.length > 0);
  }
  // Without a picture they do no harm, and are what Hugging Face makes of them.
  const { inputIds } = await processor.process([{ role: "user", content: "<|begin_of_video|>" }]);
  assert.ok(inputIds.includes(tokenizer.idOf("<|begin_of_video|>") as number));
});

test("a role that spells tokens is refused, and so is a mode that is none", async () => {
  const role = "user|>\nx<|system";
  assert.is((await refusal(() => processor.process([{ role, content: "x" }], TEXT))).code, "INPUT_INVALID");
  const mode = { specialTokensInText: "plain" } as unknown as ProcessOptions;
  const { code, message } = await refusal(() => processor.process([{ role: "user", content: "x" }], mode));
  assert.is(code, "OPTION_INVALID");
  assert.match(message, /specialTokensInText is "plain"/);
});

test.run();
