/** `--adapter DIR[:scale]` */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { adapterSources, parseAdapterFlag } from "../../src/cli/adapter-flags.ts";

test("a number after the last colon is the scale", () => {
  const cases: [string, { location: string; scale?: number }][] = [
    ["adapters/sign", { location: "adapters/sign" }],
    ["adapters/sign:0.5", { location: "adapters/sign", scale: 0.5 }],
    ["adapters/sign:-1", { location: "adapters/sign", scale: -1 }],
    ["C:\\adapters\\sign", { location: "C:\\adapters\\sign" }],
    ["C:\\adapters\\sign:2", { location: "C:\\adapters\\sign", scale: 2 }],
    ["http://localhost:8080", { location: "http://localhost:8080" }],
    ["http://localhost:8080/sign", { location: "http://localhost:8080/sign" }],
    ["http://localhost:8080/sign:3", { location: "http://localhost:8080/sign", scale: 3 }],
  ];
  for (const [flag, expected] of cases) assert.equal(parseAdapterFlag(flag), expected, flag);
});

test("adapters are named after their folders, each by a name of its own", () => {
  const names = adapterSources(["a/sign/", "b/sign:2", "C:\\x\\form"]).map(({ name }) => name);
  assert.equal(names, ["sign", "sign-2", "form"]);
  const secret = adapterSources(["http://bob:s3cret@host/", "http://host/a/sign?token=s3cret"]);
  assert.equal(
    secret.map(({ name }) => name),
    ["adapter", "sign"],
  );
});

test.run();
