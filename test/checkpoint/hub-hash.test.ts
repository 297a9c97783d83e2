/** The SHA-256 of what comes in pieces is Node's; progress tells a rate and the time that is left. */
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DownloadMeter, type DownloadProgress } from "../../src/checkpoint/hub/progress.ts";
import { createSha256 } from "../../src/checkpoint/hub/sha256.ts";
import { fc } from "../property.ts";

test("SHA-256 of any pieces is that of the whole", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), (pieces) => {
      const [ours, theirs] = [createSha256(), createHash("sha256")];
      for (const piece of pieces) {
        ours.update(piece);
        theirs.update(piece);
      }
      assert.is(ours.digest(), theirs.digest("hex"));
    }),
  );
  const large = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31) & 255);
  const ours = createSha256();
  ours.update(large);
  assert.is(ours.digest(), createHash("sha256").update(large).digest("hex"));
});

test("a download tells its rate over the last seconds, and the time that is left; old bytes are no speed", () => {
  const seen: DownloadProgress[] = [];
  let now = 0;
  const meter = new DownloadMeter(
    10_000,
    (progress) => seen.push(progress),
    () => now,
  );
  meter.file = "model.safetensors";
  meter.add(4000, true);
  assert.equal(seen.at(-1), {
    file: "model.safetensors",
    downloadedBytes: 4000,
    totalBytes: 10_000,
    bytesPerSecond: null,
    secondsLeft: null,
  });
  for (let second = 1; second <= 30; second++) {
    now = 1000 * second;
    meter.add(second <= 15 ? 300 : 100);
  }
  const last = seen.at(-1)!;
  assert.is(last.downloadedBytes, 10_000);
  assert.is(last.secondsLeft, 0);
  const middle = seen.find(({ downloadedBytes }) => downloadedBytes === 4000 + 15 * 300)!;
  assert.is(middle.bytesPerSecond, 300);
  assert.is(middle.secondsLeft, 5);
  assert.ok(last.bytesPerSecond! < 120, String(last.bytesPerSecond));
});

test.run();
