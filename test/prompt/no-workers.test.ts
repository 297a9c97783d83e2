/** A processor where no worker can be started, as in workerd. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openProcessorOn } from "../../src/api/open-processor.ts";
import { GlimtError } from "../../src/errors.ts";
import { openFiles } from "../../src/node-files.ts";

const CHECKPOINT = "examples/demo/checkpoint";

test("workerUrl is refused, since it would have no effect", async () => {
  const platform = { backends: [], openFiles };
  const error = await openProcessorOn(platform, CHECKPOINT, { workerUrl: "worker.js" }).catch(
    (error) => error,
  );
  assert.instance(error, GlimtError);
  assert.is(error.code, "OPTION_INVALID");
  assert.match(error.message, /^workerUrl would have no effect: no worker can be started here/);
  await openProcessorOn(platform, CHECKPOINT, {});
});

test.run();
