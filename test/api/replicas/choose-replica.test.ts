/** Which replica a prompt goes to. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseReplica, ReplicaLoad } from "../../../src/api/replicas/choose-replica.ts";
import { promptKeys } from "../../../src/api/replicas/prompt-keys.ts";
import type { Message } from "../../../src/index.ts";

const IMAGE = `data:image/png;base64,${"A".repeat(5000)}`;
const OTHER = `data:image/png;base64,${"A".repeat(4000)}${"B".repeat(1000)}`;
const ask = (text: string, image?: unknown, system?: string): Message[] => [
  ...(system ? [{ role: "system", content: system }] : []),
  {
    role: "user",
    content: [
      ...(image ? [{ type: "image" as const, image: image as string }] : []),
      { type: "text" as const, text },
    ],
  },
];
const keys = (prompt: Message[], options = {}) => promptKeys(prompt, options);

test("to who has the longest beginning, and among equals to who has least to do", () => {
  const loads = [new ReplicaLoad(), new ReplicaLoad()];
  const first = keys(ask("What?", IMAGE));
  assert.is(chooseReplica(loads, first), 0);
  const request = loads[0]?.take(first);
  request?.end();
  assert.is(chooseReplica(loads, keys(ask("And now?", IMAGE))), 0);
  const second = keys(ask("What?", OTHER));
  loads[0]?.take(keys(ask("busy")));
  assert.is(chooseReplica(loads, second), 1);
  loads[1]?.take(second).end();
  assert.is(chooseReplica(loads, keys(ask("Why?", OTHER))), 1);
  const system = "be brief ".repeat(100);
  loads[1]?.take(keys(ask("a", IMAGE, system))).end();
  assert.is(chooseReplica(loads, keys(ask("b", OTHER, system))), 1);
});

test("a picture in another prompt goes where its features are", () => {
  const loads = [new ReplicaLoad(), new ReplicaLoad(), new ReplicaLoad()];
  loads[2]?.take(keys(ask("a", IMAGE))).end();
  assert.is(chooseReplica(loads, keys(ask("b", IMAGE, "another beginning"))), 2);
});

test("a long conversation's next turn goes where the others were", () => {
  const loads = [new ReplicaLoad(), new ReplicaLoad()];
  loads[1]?.take(keys(ask("one"))).end();
  const next: Message[] = [...ask("one"), { role: "assistant", content: "1" }, ...ask("two")];
  assert.is(chooseReplica(loads, keys(next)), 1);
});

test("who has much more to do is not asked, whatever it has", () => {
  const loads = [new ReplicaLoad(), new ReplicaLoad()];
  const prompt = keys(ask("What?", IMAGE));
  const under = Array.from({ length: 4 }, () => loads[0]?.take(prompt));
  assert.is(chooseReplica(loads, prompt), 1);
  for (const request of under) request?.end();
  assert.is(chooseReplica(loads, prompt), 0);
});

test("what was read is no longer to be read", () => {
  const load = new ReplicaLoad();
  const request = load.take(keys(ask("What?", IMAGE)));
  const whole = load.weight;
  request.read();
  request.read();
  assert.ok(load.weight > 0 && load.weight < whole);
  request.end();
  request.end();
  assert.is(load.weight, 0);
});

test("what else decides what is cached is another beginning", () => {
  const plain = keys(ask("What?")).prefixes;
  for (const options of [
    { cacheSalt: "s" },
    { adapters: ["a"] },
    { enableThinking: false },
    { tools: "[]" },
  ]) {
    assert.not.equal(keys(ask("What?"), options).prefixes, plain);
  }
  assert.equal(keys(ask("What?"), {}).prefixes, plain);
});

test("every kind of source has a key, and the same one again", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const blob = new Blob([bytes]);
  const sources: unknown[] = [
    "https://example.com/a.png",
    new URL("https://example.com/b.png"),
    bytes,
    new Uint8Array([1, 2, 4]),
    bytes.slice(0, 2).buffer,
    blob,
    new Blob([bytes]),
    { data: bytes, width: 1, height: 1 },
    { embeddings: new Float32Array([1]), gridThw: [1, 2, 2] },
  ];
  const all = sources.map((source) => keys(ask("?", source)).media[0]);
  assert.is(new Set(all).size, sources.length - 1);
  assert.equal(
    sources.map((source) => keys(ask("?", source)).media[0]),
    all,
  );
  const named = [{ role: "user", content: [{ type: "image", uuid: "u" }] }] as Message[];
  assert.equal(keys(named).media, ["uuid u"]);
});

test("token ids are their own beginning", () => {
  const ids = (last: number) => ({ inputIds: [...Array(100).keys(), last] }) as never;
  const [a, b] = [promptKeys(ids(1)), promptKeys(ids(2))];
  assert.is(a.prefixes[0], b.prefixes[0]);
  assert.is.not(a.prefixes[1], b.prefixes[1]);
  assert.is(a.tokens, 101);
});

test("what can not be read has no keys", () => {
  const odd = {
    get role() {
      throw new Error("mine");
    },
  };
  assert.equal(promptKeys([odd] as never), { prefixes: [], media: [], tokens: 0 });
  assert.equal(promptKeys(null as never).prefixes, []);
  assert.equal(promptKeys([null] as never).prefixes, []);
});

test.run();
