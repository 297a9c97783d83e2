import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import type { GlimtError } from "../../src/errors.ts";
import { ChatTemplate, loadChatTemplate, type RenderOptions } from "../../src/text/chat-template.ts";
import { type ChatMessage, normaliseMessages } from "../../src/text/messages.ts";
import { goldenCases } from "../golden/load.ts";
import { goldenTemplates, templateSource } from "./golden.ts";

const { chats, cases } = goldenTemplates();

/** The recorded keyword arguments as options. */
function optionsOf(variant: Readonly<Record<string, unknown>>): RenderOptions {
  const { add_generation_prompt, continue_final_message, enable_thinking, tools, ...variables } = variant;
  return {
    addGenerationPrompt: add_generation_prompt as boolean | undefined,
    continueFinalMessage: continue_final_message as boolean | undefined,
    enableThinking: enable_thinking as boolean | undefined,
    tools: tools as object[] | undefined,
    variables,
  };
}

for (const { template, chat, variant, text } of cases) {
  test(`${template}, ${chat}, ${Object.keys(variant).join(" ")}`, () => {
    const { messages } = normaliseMessages(chats[chat] as ChatMessage<string, string>[]);
    const parsed = new ChatTemplate(templateSource(template));
    const options = optionsOf(variant);
    const isForTools = template === "tools.jinja";
    // Hugging Face drops tools in silence where the template has no place for them.
    if (options.tools !== undefined && !isForTools) {
      const error = failure(() => parsed.render(messages, options));
      assert.is(error.code, "OPTION_INVALID");
      assert.match(error.message, /^tools:/);
    }
    const render = () => parsed.render(messages, isForTools ? options : { ...options, tools: undefined });
    if (text !== null) assert.is(render(), text);
    else assert.throws(render, (error: GlimtError) => error.code === "TEMPLATE_INVALID");
  });
}

for (const golden of goldenCases()) {
  test(`${golden.name}: the prompt`, async () => {
    const { openDirectory } = await import("../../src/checkpoint/directory.node.ts");
    const template = await loadChatTemplate(await openDirectory(golden.checkpointDir));
    const { messages } = normaliseMessages(golden.messages);
    const rendered = template.render(messages, {
      addGenerationPrompt: true,
      variables: golden.templateOptions,
    });
    assert.is(rendered, golden.promptText);
  });
}

function failure(run: () => unknown): GlimtError {
  try {
    run();
  } catch (error) {
    return error as GlimtError;
  }
  throw new Error("No error was thrown.");
}

const hi = [{ role: "user", content: "hi" }];

test("a variable that something else sets is refused by its name; documents are a variable", () => {
  const template = new ChatTemplate("{{ messages[0].content }} {{ documents }} {{ enable_thinking }}");
  for (const name of ["messages", "tools", "add_generation_prompt"]) {
    const error = failure(() => template.render(hi, { variables: { [name]: null } }));
    assert.is(error.code, "OPTION_INVALID", name);
    assert.match(error.message, `templateVariables.${name} `);
  }
  const variables = { enable_thinking: false };
  assert.is(template.render(hi, { variables }), "hi None False");
  assert.match(
    failure(() => template.render(hi, { variables, enableThinking: true })).message,
    /enableThinking/,
  );
  assert.is(template.render(hi, { variables: { documents: ["a"], enable_thinking: 1 } }), "hi ['a'] 1");
});

test("refusals: no Jinja, a raised exception, an undefined helper, a message that vanishes", () => {
  for (const [template, expected] of [
    ["{% if x %}", "The chat template failed"],
    ["{{ raise_exception('Roles must alternate') }}", "Roles must alternate"],
    ["{{ nothing() }}", "The chat template failed"],
    ["{{ messages | no_such_filter }}", "no_such_filter"],
  ] as const) {
    const error = failure(() => new ChatTemplate(template).render(hi));
    assert.is(error.code, "TEMPLATE_INVALID", template);
    assert.match(error.message, expected);
  }
  const dropped = failure(() =>
    new ChatTemplate("{{ messages[0].role }}").render(hi, { continueFinalMessage: true }),
  );
  assert.is(dropped.code, "TEMPLATE_INVALID");
  const nothing = failure(() =>
    new ChatTemplate("x").render([{ role: "user", content: [{ type: "image", image: "" }] }], {
      continueFinalMessage: true,
    }),
  );
  assert.is(nothing.code, "INPUT_INVALID");
  const both = failure(() =>
    new ChatTemplate("x").render(hi, { continueFinalMessage: true, addGenerationPrompt: true }),
  );
  assert.is(both.code, "OPTION_INVALID");
});

test("a message of a role that the template does not know is refused, not left out", () => {
  for (const source of ["glm41v.jinja", "glm45v.jinja", "tools.jinja"]) {
    const template = new ChatTemplate(templateSource(source));
    for (const role of ["asistant", "developer", "function", "User"]) {
      const chat = [...hi, { role, content: "so" }, ...hi];
      for (const options of [{}, { addGenerationPrompt: true }, { continueFinalMessage: true }]) {
        const error = failure(() => template.render(chat, options));
        assert.is(error.code, "INPUT_INVALID", `${source} ${role}`);
        assert.match(
          error.message,
          new RegExp(`^messages\\[1\\]\\.role is "${role}": .* It knows "system", "user",`),
        );
      }
    }
  }
});

test("roles of the template's own are its own: those that it names, and those whose messages it writes", () => {
  const chat = (role: string) => [...hi, { role, content: "so" }];
  const rendered = (source: string, role: string) => new ChatTemplate(source).render(chat(role));
  const each = (body: string) => `{% for m in messages %}${body}{% endfor %}`;
  assert.is(rendered(each("[{{ m.role }}]{{ m.content }}"), "critic"), "[user]hi[critic]so");
  assert.is(rendered(each("{% if m.role == 'user' %}Q{% else %}A{% endif %}"), "critic"), "QA");
  // It leaves them out knowingly.
  assert.is(rendered(each("{% if m.role != 'note' %}{{ m.content }}{% endif %}"), "note"), "hi");
  assert.is(rendered(each('{% if m.role == "critic" %}C{% endif %}'), "critic"), "C");
  const refusing = each("{% if m.role != 'user' %}{{ raise_exception('No ' + m.role) }}{% endif %}");
  const error = failure(() => rendered(refusing, "critic"));
  assert.is(error.code, "TEMPLATE_INVALID");
  assert.match(error.message, "No critic");
  // What all chats have is left to the template, as in transformers; what a tool said is not lost.
  assert.is(rendered(each("{% if m.role == 'user' %}Q{% endif %}"), "system"), "Q");
  assert.is(
    failure(() => rendered(each("{% if m.role == 'user' %}Q{% endif %}"), "tool")).code,
    "INPUT_INVALID",
  );
});

test("strftime_now is there, as in Hugging Face", () => {
  assert.match(new ChatTemplate("{{ strftime_now('%Y-%m-%d') }}").render(hi), /^20\d\d-\d\d-\d\d$/);
});

test("where a checkpoint keeps its template, the newest place first", async () => {
  const files: [string, string][] = [
    ["tokenizer_config.json", JSON.stringify({ chat_template: "oldest" })],
    ["chat_template.json", JSON.stringify({ chat_template: "older" })],
    ["chat_template.jinja", "own"],
  ];
  const load = (entries: [string, string][]) =>
    loadChatTemplate(blobFiles(new Map(entries.map(([name, content]) => [name, new Blob([content])]))));
  assert.is((await load(files)).source, "own");
  assert.is((await load(files.slice(0, 2))).source, "older");
  assert.is((await load(files.slice(0, 1))).source, "oldest");
  const list = [
    { name: "tool_use", template: "t" },
    { name: "default", template: "d" },
  ];
  assert.is((await load([["tokenizer_config.json", JSON.stringify({ chat_template: list })]])).source, "d");
  for (const none of [[], [["tokenizer_config.json", "{}"]]] as [string, string][][]) {
    try {
      await load(none);
      assert.unreachable();
    } catch (error) {
      assert.is((error as GlimtError).code, "TEMPLATE_INVALID");
    }
  }
});

test("media leave the messages in order; OpenAI's image_url is an image, and so is a model card's url", () => {
  const blob = new Blob(["x"]);
  const url = new URL("https://example.org/c.png");
  const chat = normaliseMessages<unknown, unknown>([
    {
      role: "user",
      content: [
        { type: "image", image: blob },
        { type: "text", text: "and" },
        { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
        { type: "image_url", image_url: url },
        { type: "video", video: { frames: [] }, fps: 2, metadata: { fps: 24 } },
        { type: "video_url", video_url: { url: "e.mp4" }, maxFrames: 8 },
      ],
    },
    { role: "assistant", content: "ok", reasoning_content: "r" },
    { role: "user", content: [{ type: "image", url: "d.png" }] },
  ]);
  assert.equal(
    chat.images.map(({ source, path }) => [path, source]),
    [
      ["messages[0].content[0].image", blob],
      ["messages[0].content[2].image_url", "data:image/png;base64,AA=="],
      ["messages[0].content[3].image_url", url],
      ["messages[2].content[0].url", "d.png"],
    ],
  );
  const unsaid = { metadata: undefined, fps: undefined, sampleFrames: undefined, maxFrames: undefined };
  assert.equal(chat.videos, [
    {
      source: { frames: [] },
      path: "messages[0].content[4].video",
      choices: { ...unsaid, fps: 2, metadata: { fps: 24 } },
    },
    { source: "e.mp4", path: "messages[0].content[5].video_url", choices: { ...unsaid, maxFrames: 8 } },
  ]);
  assert.equal(chat.messages, [
    {
      role: "user",
      content: [
        { type: "image", image: "" },
        { type: "text", text: "and" },
        { type: "image", image: "data:image/png;base64,AA==" },
        { type: "image", image: "" },
        { type: "video", video: "" },
        { type: "video", video: "e.mp4" },
      ],
    },
    { role: "assistant", content: "ok", reasoning_content: "r" },
    { role: "user", content: [{ type: "image", image: "d.png" }] },
  ]);
});

for (const [messages, expected] of [
  [[], "messages: expected a list of at least one message, found a list of 0"],
  ["hi", 'messages: expected a list of at least one message, found "hi"'],
  [["hi"], "messages[0]: expected a message object"],
  [[{ content: "x" }], "messages[0].role: expected a role, found nothing"],
  [[{ role: "user" }], "messages[0].content: expected a string or a list of parts, found nothing"],
  [[{ role: "user", content: 7 }], "messages[0].content: expected a string or a list of parts, found 7"],
  [[...hi, { role: "user", content: ["x"] }], "messages[1].content[0]: expected a part object"],
  [[{ role: "user", content: [{ type: "audio" }] }], 'messages[0].content[0].type: expected "text"'],
  [[{ role: "user", content: [{ type: "text" }] }], "messages[0].content[0].text: expected a string"],
  [
    [{ role: "user", content: [{ type: "image" }] }],
    "messages[0].content[0].image: expected an image, found nothing",
  ],
  [
    [{ role: "user", content: [{ type: "image_url", image_url: { url: "" } }] }],
    "messages[0].content[0].image_url",
  ],
  [
    [{ role: "user", content: [{ type: "video", video: null }] }],
    "messages[0].content[0].video: expected a video",
  ],
  ...(
    [
      [{ fps: 0 }, "fps: expected frames a second, above 0, found 0"],
      [{ sampleFrames: 1 }, "sampleFrames: expected true or false, found 1"],
      [{ maxFrames: 1.5 }, "maxFrames: expected a whole number from 1, found 1.5"],
      [{ metadata: "12 fps" }, 'metadata: expected an object, found "12 fps"'],
      [{ fps: 2, sampleFrames: false }, "fps: expected nothing, as sampleFrames is false"],
    ] as const
  ).map(
    ([choices, expected]) =>
      [
        [{ role: "user", content: [{ type: "video", video: "v", ...choices }] }],
        `messages[0].content[0].${expected}`,
      ] as const,
  ),
] as const) {
  test(`refused: ${expected}`, () => {
    const error = failure(() => normaliseMessages(messages as unknown as ChatMessage<string, string>[]));
    assert.is(error.code, "INPUT_INVALID");
    assert.ok(error.message.includes(expected), error.message);
  });
}

test.run();
