/** JSON schemas: texts that are taken hold for the schema, those that do not hold are not, and nothing is ignored. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { acceptor, schema } from "./accepts.ts";

const person = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer" },
    tags: { type: "array", items: { type: "string" } },
  },
  required: ["name"],
};
const tree = {
  $ref: "#/$defs/node",
  $defs: {
    node: {
      type: "object",
      properties: { value: { type: "number" }, children: { type: "array", items: { $ref: "#/$defs/node" } } },
      required: ["value"],
      additionalProperties: false,
    },
  },
};

const CASES: readonly [
  name: string,
  schema: unknown,
  takes: readonly string[],
  refuses: readonly string[],
][] = [
  [
    "an object",
    person,
    [
      '{"name":"x"}',
      '{"name": "é\\n\\"", "age": -12}',
      '{\n  "name": "",\n  "tags": ["a", "b"]\n}',
      '{"name":"x","age":0,"tags":[]}',
    ],
    [
      "{}",
      '{"name":1}',
      '{"name":"x",}',
      '{"name":"x","other":1}',
      '{"age":1,"name":"x"}',
      '{"name":"x","age":1.5}',
      '{"name":"x","age":01}',
      '{"name":"\n"}',
      ' {"name":"x"}',
    ],
  ],
  ["any value", true, ["1", '{"a":[null,true,1.5e3]}', '""', "[]", "{}"], ["", "nul", "[1,]", "+1", ".5"]],
  ["an empty schema", {}, ["1", "[[]]"], [""]],
  ["an object of anything", { type: "object" }, ["{}", '{"a":1,"b":{}}'], ["[]"]],
  ["numbers", { type: "number" }, ["0", "-0", "1.25", "1e5", "-3E-2"], ["01", "1.", "1e", "1e999", "--1"]],
  [
    "enum",
    { enum: ["a", 1, null, { k: [true] }] },
    ['"a"', "1", "null", '{"k":[true]}', '{ "k": [ true ] }'],
    ["a", "2", '{"k":[]}'],
  ],
  ["const", { const: "x\ny" }, ['"x\\ny"'], ['"x"', '"x\ny"']],
  ["types", { type: ["string", "null"] }, ['"s"', "null"], ["1"]],
  [
    "lengths",
    { type: "string", minLength: 2, maxLength: 3 },
    ['"ab"', '"日本語"', '"\\n\\n"', '"😀😀"'],
    ['"a"', '"abcd"'],
  ],
  ["a pattern is searched for", { type: "string", pattern: "b+" }, ['"b"', '"abbc"'], ['"ac"']],
  ["a pattern with ends", { type: "string", pattern: '^[a-z"]{2}$' }, ['"ab"', '"\\"a"'], ['"abc"', '""a"']],
  [
    "a date",
    { type: "string", format: "date" },
    ['"2024-02-28"', '"2024-12-31"'],
    ['"2024-02-30"', '"2024-13-01"', '"2024-04-31"'],
  ],
  ["an ipv4", { type: "string", format: "ipv4" }, ['"192.168.0.255"'], ['"256.1.1.1"']],
  [
    "list counts",
    { type: "array", items: { type: "integer" }, minItems: 1, maxItems: 2 },
    ["[1]", "[1,2]", "[1, 2]"],
    ["[]", "[1,2,3]"],
  ],
  [
    "prefix items",
    { type: "array", prefixItems: [{ type: "integer" }, { type: "string" }], items: false },
    ["[]", "[1]", '[1,"a"]'],
    ['["a"]', '[1,"a",2]'],
  ],
  [
    "prefix and rest",
    {
      type: "array",
      prefixItems: [{ type: "integer" }],
      items: { type: "string" },
      minItems: 2,
      maxItems: 3,
    },
    ['[1,"a"]', '[1,"a","b"]'],
    ["[1]", '[1,"a","b","c"]', "[1,2]"],
  ],
  [
    "old tuples",
    { type: "array", items: [{ type: "integer" }], additionalItems: { type: "null" } },
    ["[1,null,null]"],
    ["[null]"],
  ],
  [
    "a map",
    { type: "object", additionalProperties: { type: "integer" }, maxProperties: 2 },
    ["{}", '{"a":1,"b":2}'],
    ['{"a":"x"}', '{"a":1,"b":2,"c":3}'],
  ],
  [
    "named and other properties",
    { type: "object", properties: { ab: { type: "integer" } }, additionalProperties: { type: "string" } },
    ["{}", '{"ab":1}', '{"a":"x"}', '{"abc":"x"}', '{"ab":1,"b":"x"}', '{"":"x"}'],
    ['{"ab":"x"}', '{"b":"x","ab":"y"}', '{"ab":1,"ab":"x"}', '{"\\u0061b":"x"}'],
  ],
  ["anyOf", { anyOf: [{ type: "integer" }, { type: "string" }] }, ["1", '"a"'], ["null"]],
  [
    "anyOf beside properties",
    {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "integer" } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    ['{"a":1}', '{"b":1}', '{"a":1,"b":2}'],
    ["{}"],
  ],
  [
    "oneOf by a const",
    {
      oneOf: [
        { type: "object", properties: { t: { const: "a" }, x: { type: "integer" } }, required: ["t"] },
        { type: "object", properties: { t: { const: "b" } }, required: ["t"] },
      ],
    },
    ['{"t":"a","x":1}', '{"t":"b"}'],
    ['{"t":"b","x":1}'],
  ],
  [
    "const beside enum, by what values are",
    { const: { a: 1, b: [0, { d: 2, c: 3 }] }, enum: ["x", { b: [-0, { c: 3, d: 2 }], a: 1 }] },
    ['{"b":[0,{"c":3,"d":2}],"a":1}'],
    ['"x"'],
  ],
  [
    "allOf of the same const in another order",
    {
      allOf: [
        { properties: { k: { const: { a: 1, b: 2 } } } },
        { properties: { k: { const: { b: 2, a: 1 } } } },
      ],
    },
    ['{"k":{"a":1,"b":2}}'],
    ['{"k":{"a":1}}'],
  ],
  [
    "allOf of two lists",
    { allOf: [{ enum: [{ a: 1, b: 2 }, 1, 2] }, { enum: [3, 2, { b: 2, a: 1 }] }] },
    ["2", '{"a":1,"b":2}'],
    ["1", "3"],
  ],
  [
    "allOf of a property that objects have anyway",
    {
      allOf: [
        { type: "object", properties: { a: { const: 1 } } },
        { properties: { constructor: { const: 2 } }, required: ["constructor"] },
      ],
    },
    ['{"a": 1, "constructor": 2}'],
    ['{"constructor": 3}', "{}"],
  ],
  [
    "allOf",
    {
      allOf: [
        { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
        { properties: { b: { type: "string" } } },
      ],
    },
    ['{"a":1}', '{"a":1,"b":"x"}'],
    ["{}", '{"b":"x"}'],
  ],
  [
    "recursion",
    tree,
    ['{"value":1}', '{"value":1,"children":[{"value":2,"children":[]},{"value":3}]}'],
    ['{"value":1,"children":[{}]}', "[]"],
  ],
  [
    "recursion from the root",
    { type: "object", properties: { next: { $ref: "#" } } },
    ["{}", '{"next":{"next":{}}}'],
    ['{"next":1}'],
  ],
  [
    "optional properties in order",
    { type: "object", properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } }, required: ["b"] },
    ['{"b":2}', '{"a":1,"b":2}', '{"b":2,"c":3}'],
    ['{"a":1}', '{"b":2,"a":1}', '{"a":1,"b":2,}'],
  ],
];

for (const [name, given, takes, refuses] of CASES) {
  test(`${name}`, () => {
    const isTaken = schema(given);
    for (const text of takes) assert.ok(isTaken(text), `takes ${text}`);
    for (const text of refuses) assert.not(isTaken(text), `refuses ${text}`);
  });
}

const BOUNDS = [-20.5, -12, -1, -0.05, 0, 0.5, 0.55, 1, 9, 10, 12.25, 105];
const TEXTS = [
  "-1000",
  "-20.51",
  "-20.5",
  "-20.49",
  "-13",
  "-12.0",
  "-12",
  "-11.9",
  "-1.0",
  "-1",
  "-0.5",
  "-0.051",
  "-0.05",
  "-0.04",
  "0",
  "0.0",
  "0.4",
  "0.49",
  "0.5",
  "0.50",
  "0.51",
  "0.55",
  "0.551",
  "0.6",
  "0.99",
  "1",
  "1.0",
  "1.01",
  "5",
  "8.9",
  "9",
  "9.0",
  "9.5",
  "10",
  "10.0",
  "10.1",
  "11",
  "12.2",
  "12.25",
  "12.250",
  "12.3",
  "99",
  "100",
  "104",
  "105",
  "105.0",
  "105.1",
  "106",
  "1000",
];

test("bounds of numbers are those of arithmetic", () => {
  for (const low of [null, ...BOUNDS]) {
    for (const high of [null, ...BOUNDS]) {
      for (const open of [false, true]) {
        for (const type of ["number", "integer"]) {
          const given = {
            type,
            ...(low === null ? {} : { [open ? "exclusiveMinimum" : "minimum"]: low }),
            ...(high === null ? {} : { [open ? "exclusiveMaximum" : "maximum"]: high }),
          };
          const inside = (value: number) =>
            (low === null || (open ? value > low : value >= low)) &&
            (high === null || (open ? value < high : value <= high));
          let isTaken: (text: string) => boolean;
          try {
            isTaken = schema(given);
          } catch (error) {
            assert.match((error as Error).message, /no text that satisfies/);
            isTaken = () => false;
          }
          for (const text of TEXTS) {
            const value = Number(text);
            const expected = inside(value) && (type === "number" || /^-?\d+$/.test(text));
            // What is 0 may be written without its sign alone.
            assert.is(isTaken(text), expected, `${JSON.stringify(given)} ${text}`);
          }
        }
      }
    }
  }
});

const WRONG: readonly [schema: unknown, expected: RegExp][] = [
  [{ type: "strin" }, /^structured\.jsonSchema\.type: "strin" is no type\.$/],
  [
    { type: "object", properties: { a: { not: {} } } },
    /^structured\.jsonSchema\.properties\.a\.not: this keyword is not supported/,
  ],
  [{ type: "integer", multipleOf: 3 }, /\.multipleOf: this keyword is not supported/],
  [{ type: "array", uniqueItems: true }, /\.uniqueItems/],
  [{ type: "array", contains: {} }, /\.contains/],
  [{ if: {}, else: {} }, /\.if/],
  [{ type: "object", patternProperties: {} }, /\.patternProperties/],
  [{ type: "object", minProperties: 2 }, /\.minProperties/],
  [{ type: "object", propertyNames: {} }, /\.propertyNames/],
  [{ type: "object", dependentRequired: {} }, /\.dependentRequired/],
  [{ type: "string", minLenght: 1 }, /\.minLenght: this keyword is not supported/],
  [{ type: "string", format: "iri" }, /\.format: "iri" is not supported/],
  [{ type: "string", pattern: "(a" }, /^structured\.jsonSchema\.pattern: at character 1/],
  [{ type: "string", pattern: "a", maxLength: 3 }, /only one is supported at a time/],
  [{ $ref: "#/$defs/none" }, /there is no "#\/\$defs\/none"/],
  [{ $ref: "https://example.com/x" }, /only references into the schema itself/],
  [{ oneOf: [{ type: "integer" }, { type: "number" }] }, /could be of both schema 0 and schema 1/],
  [{ type: "array", minItems: 3, maxItems: 1 }, /no list has minItems/],
  [{ enum: [] }, /no text that satisfies/],
  [{ enum: ["a", "b"], const: "c" }, /no text that satisfies/],
  [
    { oneOf: [{ const: { a: 1, b: 2 } }, { enum: [{ b: 2, a: 1 }] }] },
    /could be of both schema 0 and schema 1/,
  ],
  [{ oneOf: [{ const: 0 }, { const: -0 }] }, /could be of both/],
  [{ allOf: [{ enum: ["a", "b"] }, { const: "c" }] }, /no text that satisfies/],
  [false, /no text that satisfies/],
  [[], /a schema is an object/],
  [
    { type: "object", properties: { a: {} }, required: ["b"], additionalProperties: false },
    /"b" is none of the properties/,
  ],
  [{ type: "string", minLength: -1 }, /expected a whole number/],
  [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /no text that satisfies/],
  [{ $ref: "#" }, /begins with itself/],
  [{ allOf: [{ $ref: "#" }] }, /it goes round, or too deep/],
  [
    {
      $ref: "#/$defs/a0",
      $defs: {
        a30: { type: "null" },
        ...Object.fromEntries(
          Array.from({ length: 30 }, (_, index) => {
            const next = { $ref: `#/$defs/a${index + 1}` };
            return [`a${index}`, { allOf: [next, next] }];
          }),
        ),
      },
    },
    /references are followed more than 20000 times/,
  ],
];

for (const [given, expected] of WRONG) {
  test(`${JSON.stringify(given).slice(0, 70)} is refused`, () => {
    assert.throws(
      () => schema(given),
      (error: Error & { code?: string }) => {
        assert.is(error.code, "OPTION_INVALID");
        assert.match(error.message, expected);
        return true;
      },
    );
  });
}

test("numbers are what they are, however they are written; one that no double holds is refused", () => {
  const source = '{"oneOf":[{"const":1},{"const":1.0}]}';
  assert.throws(() => acceptor({ kind: "jsonSchema", source }), /could be of both schema 0 and schema 1/);
  const infinite = '{"const":1e999}';
  assert.throws(
    () => acceptor({ kind: "jsonSchema", source: infinite }),
    /structured\.jsonSchema: it has a number that is larger than any double/,
  );
});

test("whole numbers of constants have all their digits, also beyond what a double is exact for", () => {
  const takes = (source: string, text: string) => acceptor({ kind: "jsonSchema", source })(text);
  const id = "1152921504606846977";
  for (const source of [`{"const":${id}}`, `{"type":"integer","enum":[1,${id}]}`]) {
    assert.ok(takes(source, id), source);
    assert.not(takes(source, "1152921504606847000"), source);
  }
  assert.ok(takes(`{"const":{"a":[${id}]}}`, `{"a":[${id}]}`));
  assert.ok(takes(`{"allOf":[{"enum":[${id},1]},{"enum":[${id},2]}]}`, id));
  assert.ok(takes(`{"oneOf":[{"const":${id}},{"const":1152921504606846976}]}`, id));
  assert.ok(takes('{"enum":[1e20],"const":100000000000000000000}', "100000000000000000000"));
  for (const source of [`{"type":${id}}`, `{"type":"string","format":${id}}`, `{"minItems":${id}}`]) {
    assert.throws(
      () => takes(source, ""),
      (error: { code: string }) => error.code === "OPTION_INVALID",
    );
  }
  assert.throws(
    () => takes('{"type":"number",}', ""),
    /structured\.jsonSchema: it is no JSON: Expected a key/,
  );
});

test("what stands beside anyOf in anyOf, and doubles with every step, is not read for ever", () => {
  let nested: object = { type: "integer" };
  for (let depth = 0; depth < 18; depth++) nested = { anyOf: [{}, {}], properties: { a: nested } };
  assert.throws(() => schema(nested), /more than 100000 schemas are read/);
});

test.run();
