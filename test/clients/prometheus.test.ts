/** /metrics, as a reader of Prometheus' text format that is not ours understands it. */
import parsePrometheusTextFormat from "parse-prometheus-text-format";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { idle, KEY, PICTURE, READ, serveDemo } from "./served.ts";

test("all families are read, with their types and values", async () => {
  const served = await serveDemo();
  try {
    const headers = { "x-api-key": KEY, "content-type": "application/json" };
    const body = JSON.stringify({ model: "demo", prompt: READ, images: [PICTURE], stream: false });
    await (await fetch(`${served.url}/api/generate`, { method: "POST", headers, body })).text();
    await idle(served.model);
    const text = await (await fetch(`${served.url}/metrics`, { headers })).text();
    const families = parsePrometheusTextFormat(text);
    assert.is(families.length, text.split("\n").filter((line) => line.startsWith("# TYPE")).length);
    const found = (name: string) => {
      const family = families.find((other) => other.name === `vllm:${name}`);
      assert.ok(family, name);
      return family;
    };
    assert.is(found("num_requests_running").type, "GAUGE");
    assert.equal(found("num_requests_running").metrics, [{ value: "0", labels: { model_name: "demo" } }]);
    assert.is(found("generation_tokens_total").type, "COUNTER");
    assert.is(found("generation_tokens_total").metrics[0]?.value, "12");
    const times = found("time_to_first_token_seconds");
    assert.is(times.type, "HISTOGRAM");
    assert.is(times.metrics[0]?.buckets?.["+Inf"], "1");
  } finally {
    await served.close();
  }
});

test.run();
