import { test } from "uvu";
import * as assert from "uvu/assert";
import { SeenTokens } from "../../src/serving/seen-tokens.ts";

test("each token is there once, where it came first", () => {
  assert.equal([...new SeenTokens([]).list], []);
  assert.equal([...new SeenTokens([3, 1, 3, 0, 1]).list], [3, 1, 0]);
});

test("a list that was handed out stays as it was", () => {
  const seen = new SeenTokens([]);
  const lists: Int32Array[] = [];
  for (let token = 0; token < 300; token++) {
    seen.add(token);
    seen.add(token);
    lists.push(seen.list);
  }
  for (const [index, list] of lists.entries()) {
    assert.is(list.length, index + 1);
    assert.is(list.at(-1), index);
  }
});

test.run();
