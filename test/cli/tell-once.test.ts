import { test } from "uvu";
import * as assert from "uvu/assert";
import { tellOnce } from "../../src/cli/tell-once.ts";

test("an error that comes with every try is told once, and again behind another one or a silence", () => {
  const told: string[] = [];
  let now = 0;
  const tell = tellOnce(
    (message) => told.push(message),
    () => now,
  );
  for (const message of ["gone", "gone", "other", "gone"]) tell(new Error(message));
  for (const time of [50_000, 100_000, 170_000]) {
    now = time;
    tell(new Error("gone"));
  }
  assert.equal(told, ["gone", "other", "gone", "gone"]);
});

test.run();
