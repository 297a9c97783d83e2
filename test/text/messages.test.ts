/** Conversations as callers write them: what is taken, what it becomes for templates, what is refused by name. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/text/chat-template.ts";
import { type ChatMessage, normaliseMessages } from "../../src/text/messages.ts";

type Chat = readonly ChatMessage<string, string>[];
const chat = (messages: unknown, template = "") => normaliseMessages(messages as Chat, template);
const user = (content: unknown) => [{ role: "user", content }];

function refusal(messages: unknown, template = ""): string {
  try {
    chat(messages, template);
  } catch (error) {
    assert.is((error as GlimtError).code, "INPUT_INVALID");
    return (error as GlimtError).message;
  }
  throw new Error("nothing was refused");
}

test("null is not set, wherever a source may stand", () => {
  for (const [part, path] of [
    [{ type: "image", image: "a.png", url: null }, "image"],
    [{ type: "image", image: null, url: "a.png" }, "url"],
    [{ type: "image", image: undefined, path: "a.png" }, "path"],
    [{ type: "image", base64: "a.png", url: null, path: null }, "base64"],
    [{ type: "image_url", image_url: { url: "a.png", detail: "auto" }, cache: null }, "image_url"],
  ] as const) {
    const { images, messages } = chat(user([part]));
    assert.equal(images, [{ source: "a.png", path: `messages[0].content[0].${path}` }]);
    assert.equal(messages, user([{ type: "image", image: "a.png" }]));
  }
  const { videos } = chat(user([{ type: "video", video: "a.mp4", url: null, fps: null, metadata: null }]));
  assert.is(videos[0]?.source, "a.mp4");
  assert.is(videos[0]?.choices.fps, undefined);
  assert.is(videos[0]?.choices.metadata, undefined);
  const answer = { role: "assistant", content: "x", refusal: null, audio: null, tool_calls: null };
  assert.equal(chat([answer]).messages, [{ role: "assistant", content: "x" }]);
});

test("unknown keys are refused, naming those that are known", () => {
  assert.match(
    refusal([{ role: "user", content: "x", images: ["a.png"] }]),
    /^messages\[0\]\.images: A message has role, content, name.* parts of content/,
  );
  assert.match(refusal([{ role: "user", content: "x", image: "a.png" }], "{{ m.image }}"), /\.image:/);
  assert.match(refusal([{ role: "user", contents: "x", content: "x" }]), /messages\[0\]\.contents/);
  assert.match(
    refusal(user([{ type: "text", text: "x", txt: "y" }])),
    /^messages\[0\]\.content\[0\]\.txt: A part of type "text" has type, text/,
  );
  assert.match(
    refusal(user([{ type: "image", image: "a", width: 3 }])),
    /has type, image, url, path, base64/,
  );
  assert.match(refusal(user([{ type: "video", video: "a", maxframes: 3 }])), /sampleFrames, maxFrames/);
  assert.match(refusal(user([{ type: "image", image: "a", url: "b" }])), /both image and url; give one/);
  assert.match(
    refusal(user([{ type: "image_url", image: "a" }])),
    /image_url: expected an image, found nothing/,
  );
});

test("a key that the template reads stays", () => {
  const message = { role: "user", content: [{ type: "text", text: "x", weight: 2 }], mood: { kind: "calm" } };
  const template = `{{ message.mood.kind }}{{ item["weight"] }}`;
  assert.equal(chat([message], template).messages, [message]);
  assert.match(refusal([message], "{{ message.mood }}"), /weight/);
  assert.match(refusal([{ role: "user", content: "x", mood: 1 }], "what a mood"), /mood/);
});

/** The tool's turn of GLM-4.5's template; the prompts are transformers' on the same template. */
const TOOL = `{%- for m in messages %}
{%- if m.content is string -%}
{{- '<tool_response>\\n' }}{{- m.content }}{{- '\\n</tool_response>' }}
{%- else -%}
{% for tr in m.content %}<tool_response>
{{ tr.output if tr.output is defined else tr }}
</tool_response>{% endfor -%}
{% endif -%}
{% endfor %}`;

test("the answer of a tool is its bare text", () => {
  const one = "<tool_response>\nbare\n</tool_response>";
  const two = "<tool_response>\na\n</tool_response><tool_response>\nb\n</tool_response>";
  for (const [content, prompt] of [
    ["bare", one],
    [[{ type: "text", text: "bare" }], one],
    [["bare"], one],
    [[{ output: "bare" }], one],
    [{ output: "bare" }, one],
    [[{ output: "a" }, { output: "b" }], two],
    [
      [
        { type: "text", text: "ba" },
        { type: "text", text: "re" },
      ],
      one,
    ],
  ] as const) {
    const { messages } = chat([{ role: "tool", content }], TOOL);
    assert.is(new ChatTemplate(TOOL).render(messages), prompt, JSON.stringify(content));
  }
  // A template that does not look for outputs gets text.
  const outputs = [{ role: "tool", content: [{ output: "a" }, { output: "b" }] }];
  assert.equal(chat(outputs, "{{ m.content }}").messages, [{ role: "tool", content: "ab" }]);
});

test("calls in OpenAI's shape and flat ones are taken, others refused by place", () => {
  for (const call of [
    { id: "1", type: "function", function: { name: "f", arguments: "{}" } },
    { name: "f", arguments: { x: 1 } },
  ]) {
    const message = { role: "assistant", content: null, tool_calls: [call] };
    assert.equal(chat([message]).messages, [message]);
  }
  const calls = (given: unknown) => refusal([{ role: "assistant", tool_calls: given }]);
  assert.match(calls("f"), /^messages\[0\]\.tool_calls: expected a list of calls, found "f"/);
  assert.match(calls([3]), /tool_calls\[0\]: expected a call, found 3/);
  assert.match(calls([{ function: { arguments: {} } }]), /tool_calls\[0\]\.function\.name/);
  assert.match(calls([{ function: 3 }]), /tool_calls\[0\]\.function/);
  const cyclic: Record<string, unknown> = {};
  cyclic.x = cyclic;
  assert.match(calls([{ name: "f", arguments: cyclic }]), /arguments\.x holds itself/);
  assert.match(calls([{ name: "f", arguments: new Set() }]), /arguments is a Set, which is no plain data/);
  assert.match(calls([{ name: "f", arguments: new Map([[3, 1]]) }]), /has the key 3, which is no text/);
  assert.match(calls([{ name: "f", arguments: { x: new Array(2) } }]), /arguments\.x\[0\] is undefined/);
});

test("each value is read once", () => {
  let reads = 0;
  const message = {
    role: "user",
    get content() {
      reads++;
      return reads === 1 ? "first" : Symbol("second");
    },
  };
  assert.equal(chat([message]).messages, [{ role: "user", content: "first" }]);
  assert.is(reads, 1);
});

test.run();
