/** A chat's lines, with the demo checkpoint in this process: what they are, and what they do. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Chat } from "../../src/cli/chat/chat.ts";
import { Conversation } from "../../src/cli/chat/conversation.ts";
import { pathsOf, readTyped, shellWords } from "../../src/cli/chat/typed.ts";
import { chatCommand } from "../../src/cli/chat.ts";
import { GlimtError, loadModel, type Message, type Model } from "../../src/index.ts";

const PICTURE = "examples/demo/pictures/hello.png";
const PROMPT = "Text Recognition:";
const folder = mkdtempSync(join(tmpdir(), "glimt-chat-"));
symlinkSync("gone.png", join(folder, "dangling.png"));
let model: Model;

test.before(async () => {
  model = await loadModel("examples/demo/checkpoint", { backend: "wasm" });
});
test.after(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const FILES = ["/a/my picture.png", "/a/b.jpg", "c.mp4", "image"];
const isFile = (path: string) => FILES.includes(path);
const TYPED: readonly [line: string, typed: object][] = [
  ["Hello", { kind: "text", text: "Hello" }],
  ["  ", { kind: "text", text: "" }],
  ["/help", { kind: "command", name: "help", rest: "" }],
  ["/image  a b.png ", { kind: "command", name: "image", rest: "a b.png" }],
  ["/system one\ntwo", { kind: "command", name: "system", rest: "one\ntwo" }],
  ["/constructor", { kind: "unknown", name: "constructor" }],
  ["/imagine a cat", { kind: "unknown", name: "imagine" }],
  ["/usr/share is what?", { kind: "text", text: "/usr/share is what?" }],
  ["'/a/my picture.png' ", { kind: "files", paths: ["/a/my picture.png"] }],
  ["/a/my\\ picture.png /a/b.jpg", { kind: "files", paths: ["/a/my picture.png", "/a/b.jpg"] }],
  ['file:///a/b.jpg "c.mp4"', { kind: "files", paths: ["/a/b.jpg", "c.mp4"] }],
  ["/a/b.jpg and more", { kind: "text", text: "/a/b.jpg and more" }],
  ["nowhere.png", { kind: "text", text: "nowhere.png" }],
  ["image", { kind: "text", text: "image" }],
];
for (const [line, typed] of TYPED) {
  test(`the line ${JSON.stringify(line)}`, () => assert.equal(readTyped(line, isFile), typed));
}

test("paths behind a command may have blanks, quotes, or be several", () => {
  assert.equal(pathsOf("/a/my picture.png", isFile), ["/a/my picture.png"]);
  assert.equal(pathsOf("'/a/my picture.png' c.mp4", isFile), ["/a/my picture.png", "c.mp4"]);
  assert.equal(shellWords('"C:\\a b\\c.png" C:\\d.png', false), ["C:\\a b\\c.png", "C:\\d.png"]);
  assert.equal(shellWords('it\'s "one"two', true), ["it's", "onetwo"]);
});

/** A chat, what it writes and says, and the conversation as it would be saved. */
function chatting(before: readonly Message[] = [], file?: string) {
  let [shown, told] = ["", ""];
  const conversation = new Conversation(before);
  const chat = new Chat({
    model,
    conversation,
    file,
    options: { maxTokens: 24 },
    output: { write: (text) => (shown += text) },
    say: (text) => (told += `${text}\n`),
  });
  return {
    take: (line: string) => chat.take(line),
    shown: () => shown,
    told: () => told,
    saved: () => JSON.parse(conversation.json) as Message[],
  };
}

test("a chat goes on in one conversation, of which nothing is read twice", async () => {
  const { take, shown, told, saved } = chatting();
  const save = join(folder, "a chat.json");
  for (const line of ["/system Be short.", `/image ${PICTURE}`, PROMPT, 'And "this"?', "/stats"]) {
    assert.ok(await take(line));
  }
  await take(`/save ${save}`);
  assert.match(told(), /; [1-9]\d* were there from before/);
  const [first, second] = shown().split("\n");
  assert.equal(JSON.parse(readFileSync(save, "utf8")), [
    { role: "system", content: "Be short." },
    {
      role: "user",
      content: [
        { type: "image", image: resolve(PICTURE) },
        { type: "text", text: PROMPT },
      ],
    },
    { role: "assistant", content: first },
    { role: "user", content: [{ type: "text", text: 'And "this"?' }] },
    { role: "assistant", content: second },
  ]);
  await take("/clear");
  assert.equal(saved(), [{ role: "system", content: "Be short." }]);
  await take("/system");
  assert.equal(saved(), []);
  assert.not(await take("/exit"));
});

test("a picture stays what it was when it was shown", async () => {
  const { take, shown } = chatting();
  const changing = join(folder, "it changes.png");
  copyFileSync(PICTURE, changing);
  await take(`'${changing}'`);
  copyFileSync("examples/demo/pictures/numbers.png", changing);
  await take(PROMPT);
  assert.is(shown(), "Hello world\n");
});

test("help does not offer standard input, from which the lines come", () => {
  assert.not.match(chatCommand().helpInformation(), /standard input|- reads/);
});

test("a chat that was saved has its system message, and goes on", async () => {
  const before: Message[] = [
    { role: "system", content: "Be short." },
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello." },
  ];
  const { take, saved } = chatting(before);
  await take("/system Be long.");
  assert.equal(saved(), [{ role: "system", content: "Be long." }, ...before.slice(1)]);
});

test("/save replaces a file that is not this chat's when it is said twice, and its own at once", async () => {
  const [own, other] = [join(folder, "own.json"), join(folder, "other.json")];
  for (const file of [own, other]) writeFileSync(file, "before");
  const { take } = chatting([], own);
  await take(`/save ${own}`);
  assert.equal(JSON.parse(readFileSync(own, "utf8")), []);
  const error: unknown = await take(`/save ${other}`).catch((thrown) => thrown);
  assert.match((error as GlimtError).message, /other\.json is there already; the same again replaces it/);
  assert.is(readFileSync(other, "utf8"), "before");
  await take(`/save '${other}'`);
  await take(`/save ${other}`);
  assert.equal(JSON.parse(readFileSync(other, "utf8")), []);
});

const WRONG: readonly [line: string, message: RegExp][] = [
  ["/foo", /There is no command \/foo/],
  ["/image nowhere.png", /The image nowhere\.png can not be read: there is no such file/],
  ["/image package.json", /image/],
  [`/image ${join(folder, "dangling.png")}`, /it is a link to gone\.png, which is not there/],
  ["/image", /\/image PATH: PATH is missing/],
  ["/video nowhere.mp4", /The video nowhere\.mp4 can not be read/],
  ["/save", /\/save FILE: FILE is missing/],
  ["/save /nowhere/chat.json", /\/save: .*can not be written/],
];
for (const [line, message] of WRONG) {
  test(`${line} is refused, and nothing is changed by it`, async () => {
    const { take, shown, saved } = chatting();
    const error: unknown = await take(line).catch((thrown) => thrown);
    assert.instance(error, GlimtError);
    assert.match((error as GlimtError).message, message);
    assert.is(shown(), "");
    assert.equal(saved(), []);
  });
}

test("a question that is taken back leaves its pictures to the next one, or takes them along", () => {
  const part = { type: "image" as const, image: new Uint8Array(1) };
  const saved = { type: "image" as const, image: "a.png" };
  for (const keepsFiles of [true, false]) {
    const conversation = new Conversation([]);
    conversation.attach({ part, saved });
    conversation.ask("What?");
    conversation.takeBack(keepsFiles);
    assert.equal(conversation.messages, []);
    conversation.ask("And now?");
    const text = { type: "text", text: "And now?" };
    assert.equal(conversation.messages, [{ role: "user", content: keepsFiles ? [part, text] : [text] }]);
  }
});

test("a question that fails was not asked", async () => {
  const { take, saved } = chatting();
  const error: unknown = await take("word ".repeat(5000)).catch((thrown) => thrown);
  assert.is((error as GlimtError).code, "CONTEXT_OVERFLOW");
  assert.equal(saved(), []);
});

test.run();
