/** Values of tool calls are typed as Python types them. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { valueJson } from "../../src/text/python-json.ts";

const cases: readonly (readonly [text: string, json: string | null])[] = JSON.parse(
  readFileSync("test/golden/data/text/tool-values.json", "utf8"),
);

for (const [text, json] of cases) {
  test(`${JSON.stringify(text)} is ${json ?? "text, since JSON has no word for it"}`, () => {
    assert.is(valueJson(text), json ?? JSON.stringify(text));
  });
}

test("what is nested too deeply is text, and long text takes its time once", () => {
  const deep = "(".repeat(5000);
  assert.is(valueJson(deep), JSON.stringify(deep));
  const long = `'${"\\\\".repeat(200_000)}`;
  assert.is(valueJson(long), JSON.stringify(long));
});

test.run();
