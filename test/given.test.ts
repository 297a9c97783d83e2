/** Plain data of callers is copied in bounded time. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readPlain } from "../src/given.ts";

/** Thirty objects that stand for a billion. */
function doubled(times: number): unknown {
  let value: unknown = { leaf: 1 };
  for (let i = 0; i < times; i++) value = [value, value];
  return value;
}

test("what is referred to several times counts each time", () => {
  assert.equal(readPlain(doubled(4), "data"), doubled(4));
  try {
    readPlain(doubled(30), "data");
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /^data(\[\d\])+ is one of more than 1000000 objects/);
  }
});

test.run();
