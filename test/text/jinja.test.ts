/** Templates render as in transformers, to the character; what would not end, or break out, is refused at once. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { parseExactJson } from "../../src/json/exact.ts";
import { strftime } from "../../src/text/jinja/strftime.ts";
import { Template } from "../../src/text/jinja/template.ts";

interface Recorded {
  /** JSON text of what the templates are given. */
  readonly context: string;
  /** null where transformers refuses. */
  readonly cases: readonly (readonly [template: string, text: string | null])[];
}

/** What make_jinja.py sets the clock to. */
const NOW = new Date(2024, 1, 5, 7, 8, 9, 123);

function recorded(): Recorded {
  return JSON.parse(readFileSync("test/golden/data/text/jinja.json", "utf8"));
}

function contextOf(text: string): Record<string, unknown> {
  return Object.fromEntries(parseExactJson(text) as Map<string, unknown>);
}

/** The text, or null where the template is refused as it should be. */
function rendered(template: string, context: Record<string, unknown>): string | null {
  try {
    return new Template(template).render(context);
  } catch (error) {
    assert.is((error as GlimtError).code, "TEMPLATE_INVALID", template);
    return null;
  }
}

test("as recorded from transformers: every case", () => {
  const { context, cases } = recorded();
  const given = contextOf(context);
  const HostDate = globalThis.Date;
  globalThis.Date = class extends HostDate {
    constructor(...args: []) {
      super(...((args.length === 0 ? [NOW.getTime()] : args) as []));
    }
  } as DateConstructor;
  try {
    assert.ok(cases.length > 6000);
    const wrong = cases.flatMap(([template, text]) => {
      const found = rendered(template, given);
      return found === text ? [] : [{ template, text, found }];
    });
    assert.equal(wrong, []);
  } finally {
    globalThis.Date = HostDate;
  }
});

test("errors name the line and say what the template said", () => {
  for (const [template, expected] of [
    ["a\nb\n{{ raise_exception('Roles must alternate') }}", "failed in line 3: Roles must alternate"],
    [
      "{% set a = 1 %}\n\n{% if a %}\n{{ a.b.c }}{% endif %}",
      "failed in line 4: 'int object' has no attribute 'b'",
    ],
    ["x\n{% for a in 5 %}{% endfor %}", "failed in line 2: 'int' object is not iterable"],
    ["\n{% if x %}", "failed in line 2: Unexpected end of template. It was looking for 'elif'"],
    ["\n\n{{ x | nope }}", "failed in line 3: No filter named 'nope'."],
    ["{% macro m() %}\n{{ 1 // 0 }}\n{% endmacro %}\n{{ m() }}", "failed in line 2: integer division"],
    ["{{ '&constructor;'|striptags }}", "striptags meets &constructor;, an entity that is not read here"],
    ["{{ [].append(1) }}", "access to attribute 'append' of 'list' object is unsafe"],
  ] as const) {
    try {
      new Template(template).render({});
      assert.unreachable(template);
    } catch (error) {
      assert.is((error as GlimtError).code, "TEMPLATE_INVALID");
      assert.ok((error as Error).message.includes(expected), `${template}: ${(error as Error).message}`);
    }
  }
});

/** Each of these would take for ever, or all memory. */
const BOMBS: readonly string[] = [
  "{{ range(400000000)|length }}",
  "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
  "{% for a in range(99999) %}{% for b in range(99999) %}{% if b %}{% endif %}{% endfor %}{% endfor %}",
  "{% for a in range(99999) %}{{ 'abcdefghij' * 100000 }}{% endfor %}",
  "{{ 'a' * 1000000000000 }}",
  "{{ [1] * 1000000000000 }}",
  "{{ 9 ** (9 ** 9) }}",
  "{{ (2 ** 99999) ** 99999 }}",
  "{% set ns = namespace(n=3) %}{% for a in range(99999) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
  "{% set ns = namespace(s='ab') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
  "{% set ns = namespace(s='ab') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
  "{% set ns = namespace(s=['ab']) %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
  "{% set ns = namespace(s=1) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
  "{% set ns = namespace(s=1) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}",
  "{% set ns = namespace(s=1) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == [ns.s] }}{{ ns.s|pprint }}",
  "{% set ns = namespace(s=1) %}{% for a in range(99) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: 1} }}",
  "{% set ns = namespace(s=1) %}{% for a in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
  "{% set ns = namespace(s=1) %}{% for a in range(9999) %}{% set ns.s = (ns.s,) %}{% endfor %}{{ {ns.s: 1} }}",
  "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
  "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
  "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
  "{% for a in [[[]]] recursive %}{{ loop([a]) }}{% endfor %}",
  "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
  "{{ ('a' * 1000000)|list|join('b' * 1000000) }}",
  "{{ ('a\n' * 1000000)|indent(1000000) }}",
  "{{ 'a'.center(10000000000) }}",
  "{{ '%1000000000s' % 'a' }}",
  "{{ '%.1000000000f' % 1.5 }}",
  "{{ '{:1000000000}'.format(1) }}",
  "{{ '{:.1000000000f}'.format(1.5) }}",
  "{{ ('a' * 60000000)|upper }}{% for a in range(99999) %}{{ ('a' * 60000000)|length }}{% endfor %}",
  "{% for a in range(99999) %}{% set b = ('abc ' * 100000).split() %}{% endfor %}",
  "{% for a in range(99999) %}{% set b = ('é😀' * 100000)[1000:] %}{% endfor %}",
  "{% set l = range(99999)|list %}{% for a in l %}{% set b = l|sort(reverse=true) %}{% endfor %}",
  "{% set l = range(99999)|list %}{% for a in l %}{% set b = -1 in l %}{% endfor %}",
  "{% set l = range(99999)|list %}{% for a in l %}{% set b = l[::2] %}{% endfor %}",
  "{% set l = range(99999)|list %}{% for a in l %}{% set b = l|map('string')|join %}{% endfor %}",
  "{% set l = range(99999)|list %}{% for a in l %}{% set b = l == l|list %}{% endfor %}",
  "{% set l = range(99999)|list %}{{ l|batch(2, 1)|list|length }}{{ l|slice(999999999)|list|length }}",
  "{{ [1]|batch(99999999999, 0)|list }}",
  "{{ ('a ' * 1000000)|wordwrap(1) }}{% for a in range(999) %}{{ ('a ' * 1000000)|wordwrap(1)|length }}{% endfor %}",
  "{{ '1' * 5000 }}{{ ('1' * 5000)|int }}{{ 10 ** 5000 }}",
  "{{ ('a' * 60000000).find('a' * 10000000 ~ 'b' ~ 'a' * 10000000) }}",
  "{{ ('a' * 60000000)|replace('a' * 10000000 ~ 'b' ~ 'a' * 10000000, '') }}",
  "{{ ('a' * 10000000 ~ 'b' ~ 'a' * 10000000) in ('a' * 60000000) }}",
  "{% set a = 'a' * 60000000 %}{% set b = ('a' * 60000000).strip('b') %}{% for i in range(99999) %}{{ a == b }}{{ a < b }}{% endfor %}",
  "{% set a = 'a' * 60000000 %}{% for i in range(99999) %}{{ {a ~ i: 1}[a ~ i] }}{% endfor %}",
  "{% set a = '\n' * 60000000 %}{% for i in range(99999) %}{% set b = a|tojson %}{% endfor %}",
  "{% set a = '<' * 30000000 %}{% for i in range(99999) %}{% set b = a|e %}{% set c = [a]|string %}{% endfor %}",
  "{% set a = 'aB' * 30000000 %}{% for i in range(99999) %}{{ a.title()[0] }}{{ a.istitle() }}{{ a.isalnum() }}{{ a|title|first }}{% endfor %}",
  "{% set a = ' ' * 60000000 %}{% for i in range(99999) %}{{ a.strip() }}{{ a|trim(' ') }}{{ a.split() }}{% endfor %}",
  "{% set a = 'ab' * 30000000 %}{% for i in range(99999) %}{{ a|last }}{{ (a|reverse)[0] }}{{ a|wordcount }}{% endfor %}",
  "{{ x }}".repeat(200_000),
  `{{ ${"(".repeat(100_000)} }}`,
  `{{ ${"[".repeat(5000)}${"]".repeat(5000)} }}`,
  `{{ ${"not ".repeat(100_000)}1 }}`,
  `{{ ${"-".repeat(100_000)}1 }}`,
  "{% if 1 %}".repeat(5000),
  `{{ ${"1 + ".repeat(200_000)}x.y.z }}`,
  `{{ x${".a".repeat(200_000)} }}`,
  `{{ x${"|upper".repeat(200_000)}.y.z }}`,
];

for (const [index, bomb] of BOMBS.entries()) {
  test(`ends soon: ${index}: ${bomb.slice(0, 100)}`, () => {
    const start = performance.now();
    assert.is(rendered(bomb, {}), null);
    // About a second; many times that on a busy machine.
    assert.ok(performance.now() - start < 30_000, `${Math.round(performance.now() - start)} ms`);
  });
}

test("a long conversation takes milliseconds", () => {
  const template = new Template(readFileSync("test/golden/templates/glm45v.jinja", "utf8"));
  const messages = Array.from({ length: 200 }, (_, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content: `message ${index} ${"with some text ".repeat(100)}`,
  }));
  const context = { messages, tools: null, add_generation_prompt: true };
  assert.ok(template.render(context).length > 200_000);
  const start = performance.now();
  template.render(context);
  assert.ok(performance.now() - start < 2_000, `${performance.now() - start} ms`);
});

test("long honest texts are no bombs", () => {
  const content = "a paragraph of text, then another one\n".repeat(300_000);
  const template = new Template(
    "{% for m in messages %}{{ m.content.strip().split('</think>')[-1].lstrip('\\n') ~ '\\n' }}{% endfor %}",
  );
  const messages = Array.from({ length: 4 }, () => ({ content }));
  assert.is(template.render({ messages }).length, 4 * content.length);
});

test("values of JavaScript: whole numbers are ints, Maps keep their order, undefined is left out", () => {
  const print = (value: unknown) => new Template("{{ v }}").render({ v: value });
  assert.is(
    print([1, 1.5, -0, 1e20, 1e21, 2 ** 60, 10n ** 30n, Number.NaN]),
    "[1, 1.5, 0, 100000000000000000000, 1e+21, 1152921504606846976, 1000000000000000000000000000000, nan]",
  );
  assert.is(print({ b: 1, a: undefined, c: [null, undefined, true] }), "{'b': 1, 'c': [None, None, True]}");
  assert.is(
    print(
      new Map<unknown, unknown>([
        ["b", 1],
        ["10", { x: "y" }],
        ["9", 2n],
      ]),
    ),
    "{'b': 1, '10': {'x': 'y'}, '9': 2}",
  );
  assert.is(print(new Date(0)), "1970-01-01T00:00:00.000Z");
  assert.is(print({ ["__proto__"]: 1 }), "{'__proto__': 1}");
  const loop: unknown[] = [];
  loop.push(loop);
  for (const wrong of [() => 1, Symbol("x"), { f: () => 1 }, loop, new Map([[Symbol("k"), 1]])]) {
    assert.throws(
      () => print(wrong),
      (error: GlimtError) => error.code === "INPUT_INVALID",
    );
  }
});

test("tojson in ASCII writes as escapes what json.dumps does, DEL too", () => {
  const x = '\x7f\x80~ \ud83d\ude00"\n';
  const rendered = new Template("{{ x|tojson(ensure_ascii=true) }}|{{ x|tojson }}").render({ x });
  assert.is(rendered, `"\\u007f\\u0080~ \\ud83d\\ude00\\"\\n"|"\x7f\x80~ \ud83d\ude00\\"\\n"`);
});

test("which variables a template reads", () => {
  for (const [source, reads] of [
    ["{{ tools }}", true],
    ["{% if a %}{% for t in tools %}{% endfor %}{% endif %}", true],
    ["{% macro m() %}{{ tools|tojson }}{% endmacro %}", true],
    ["{% set tools = [] %}{{ tools }}", false],
    ["{% for tools in x %}{{ tools }}{% endfor %}", false],
    ["{% macro m(tools) %}{{ tools }}{% endmacro %}", false],
    ["{{ x.tools }} tools {# tools #} {{ 'tools' }}", false],
    ["{% if a %}{% set tools = 1 %}{% endif %}{{ tools }}", true],
  ] as const) {
    assert.is(new Template(source).reads("tools"), reads, source);
  }
});

test("strftime: weeks of the year at its ends", () => {
  for (const [day, expected] of [
    [new Date(2023, 0, 1), "00 01 52 2022 7 0"],
    [new Date(2024, 11, 30), "53 52 01 2025 1 1"],
    [new Date(2020, 11, 31), "52 52 53 2020 4 4"],
  ] as const) {
    assert.is(strftime(day, "%W %U %V %G %u %w"), expected);
  }
});

test.run();
