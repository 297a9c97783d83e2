/** Prompts of the AI SDK as glimt's messages. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PromptMessage } from "../../src/ai/contract.ts";
import { messagesOf } from "../../src/ai/messages.ts";
import { GlimtError } from "../../src/errors.ts";

const BYTES = new Uint8Array([1, 2, 3]);
const file = (mediaType: string, data: object, more = {}) =>
  ({ role: "user", content: [{ type: "file", mediaType, data, ...more }] }) as PromptMessage;

const CASES: readonly [name: string, prompt: PromptMessage[], expected: object[]][] = [
  [
    "system and user text",
    [
      { role: "system", content: "Be short." },
      { role: "user", content: [{ type: "text", text: "Hello" }] },
    ],
    [
      { role: "system", content: "Be short." },
      { role: "user", content: [{ type: "text", text: "Hello" }] },
    ],
  ],
  [
    "bytes of a picture",
    [file("image/png", { type: "data", data: BYTES })],
    [{ role: "user", content: [{ type: "image", image: BYTES }] }],
  ],
  [
    "base64 is never a path",
    [file("image/png", { type: "data", data: "etc/passwd" })],
    [{ role: "user", content: [{ type: "image", image: "data:image/*;base64,etc/passwd" }] }],
  ],
  [
    "an address, of any picture",
    [file("image", { type: "url", url: new URL("https://example.org/a.png?x=1") })],
    [{ role: "user", content: [{ type: "image", image: "https://example.org/a.png?x=1" }] }],
  ],
  [
    "a video and what is said of it",
    [file("video/mp4", { type: "data", data: BYTES }, { providerOptions: { glimt: { maxFrames: 4 } } })],
    [{ role: "user", content: [{ maxFrames: 4, type: "video", video: BYTES }] }],
  ],
  [
    "text files",
    [
      file("text/plain", { type: "text", text: "one" }),
      file("text/csv", { type: "data", data: new TextEncoder().encode("ä,b") }),
      file("text/csv", { type: "data", data: btoa("c,d") }),
    ],
    ["one", "ä,b", "c,d"].map((text) => ({ role: "user", content: [{ type: "text", text }] })),
  ],
  [
    "an answer with thinking and calls, and its results",
    [
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Hm." },
          { type: "text", text: "I " },
          { type: "text", text: "look." },
          { type: "tool-call", toolCallId: "1", toolName: "look", input: { at: 3 } },
        ],
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "1",
            toolName: "look",
            output: { type: "json", value: { a: [1] } },
          },
          {
            type: "tool-result",
            toolCallId: "2",
            toolName: "x",
            output: { type: "error-text", value: "no" },
          },
          { type: "tool-result", toolCallId: "3", toolName: "y", output: { type: "execution-denied" } },
          {
            type: "tool-result",
            toolCallId: "4",
            toolName: "z",
            output: {
              type: "content",
              value: [
                { type: "text", text: "seen" },
                { type: "file", mediaType: "image/png", data: { type: "data", data: BYTES } },
              ],
            },
          },
        ],
      },
    ],
    [
      {
        role: "assistant",
        content: "I look.",
        reasoning_content: "Hm.",
        tool_calls: [{ id: "1", type: "function", function: { name: "look", arguments: { at: 3 } } }],
      },
      { role: "tool", tool_call_id: "1", name: "look", content: '{"a":[1]}' },
      { role: "tool", tool_call_id: "2", name: "x", content: "no" },
      { role: "tool", tool_call_id: "3", name: "y", content: "The user did not allow this call." },
      {
        role: "tool",
        tool_call_id: "4",
        name: "z",
        content: [
          { type: "text", text: "seen" },
          { type: "image", image: BYTES },
        ],
      },
    ],
  ],
  [
    "a result of a tool that the provider ran itself",
    [
      {
        role: "assistant",
        content: [
          { type: "tool-call", toolCallId: "1", toolName: "find", input: {} },
          {
            type: "tool-result",
            toolCallId: "1",
            toolName: "find",
            output: { type: "text", value: "found" },
          },
          { type: "text", text: "There." },
        ],
      },
    ],
    [
      {
        role: "assistant",
        content: "There.",
        tool_calls: [{ id: "1", type: "function", function: { name: "find", arguments: {} } }],
      },
      { role: "tool", tool_call_id: "1", name: "find", content: "found" },
    ],
  ],
];

for (const [name, prompt, expected] of CASES) {
  test(name, () => {
    const { messages, warnings } = messagesOf(prompt);
    assert.equal(messages, expected);
    assert.equal(warnings, []);
  });
}

test("what has no place in a message is left out, with a warning", () => {
  const { messages, warnings } = messagesOf([
    { role: "assistant", content: [{ type: "custom" }, { type: "text", text: "Yes." }] },
    { role: "tool", content: [{ type: "tool-approval-response" }] },
  ]);
  assert.equal(messages, [{ role: "assistant", content: "Yes." }]);
  assert.equal(warnings, [
    { type: "unsupported", feature: "custom parts", details: "prompt[0].content[0] is left out." },
    {
      type: "unsupported",
      feature: "tool-approval-response parts",
      details: "prompt[1].content[0] is left out.",
    },
  ]);
});

const REFUSED: readonly [name: string, prompt: PromptMessage, message: RegExp][] = [
  ["a PDF", file("application/pdf", { type: "data", data: BYTES }), /application\/pdf.*pictures/],
  ["a sound", file("audio/mpeg", { type: "data", data: BYTES }), /audio\/mpeg/],
  [
    "a file at a provider",
    file("image/png", { type: "reference", reference: { openai: "f" } }),
    /"reference"/,
  ],
  ["a local file", file("image/png", { type: "url", url: new URL("file:///etc/passwd") }), /give the bytes/],
  ["text that is none", file("text/plain", { type: "data", data: new Uint8Array([255]) }), /UTF-8/],
  [
    "another role",
    { role: "robot", content: "" } as unknown as PromptMessage,
    /prompt\[0\]\.role is "robot"/,
  ],
  [
    "another part",
    { role: "user", content: [{ type: "smell" }] } as unknown as PromptMessage,
    /content\[0\]\.type is "smell"/,
  ],
];

for (const [name, message, expected] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => messagesOf([message]),
      (error: unknown) =>
        error instanceof GlimtError && error.code === "INPUT_INVALID" && expected.test(error.message),
    );
  });
}

test.run();
