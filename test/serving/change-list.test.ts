import { test } from "uvu";
import * as assert from "uvu/assert";
import { ChangeList } from "../../src/serving/change-list.ts";

test("changes lie in the order in which they came, with what they do", () => {
  const changes = new ChangeList();
  assert.is(changes.list.ids.length, 0);
  changes.add(3, { factor: 2, addend: 0 });
  changes.add(1, { factor: 1, addend: -0.5 });
  changes.add(3, { factor: 1, addend: Number.NEGATIVE_INFINITY });
  assert.is(changes.length, 3);
  assert.equal([...changes.list.ids], [3, 1, 3]);
  assert.equal([...changes.list.values], [2, 0, 1, -0.5, 1, Number.NEGATIVE_INFINITY]);
});

test("a list that was handed out stays as it was", () => {
  const changes = new ChangeList();
  const lists = [];
  for (let token = 0; token < 300; token++) {
    changes.add(token, { factor: token, addend: 0 });
    lists.push(changes.list);
  }
  for (const [index, { ids, values }] of lists.entries()) {
    assert.is(ids.length, index + 1);
    assert.is(ids.at(-1), index);
    assert.equal([...values.subarray(-2)], [index, 0]);
  }
});

test.run();
