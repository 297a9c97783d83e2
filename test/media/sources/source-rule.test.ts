/** The option `sources`: what it may be, and which hosts it names. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../../src/errors.ts";
import {
  hostDecision,
  PUBLIC_SOURCES,
  type Sources,
  sourceRule,
} from "../../../src/media/sources/source-rule.ts";

const HOSTS: readonly [hosts: string[], address: string, decision: "yes" | "public" | "no"][] = [
  [["example.org"], "http://example.org/a.png", "yes"],
  [["example.org"], "https://EXAMPLE.org.:8443/a.png", "yes"],
  [["EXAMPLE.ORG."], "https://example.org/", "yes"],
  [["example.org"], "https://www.example.org/", "no"],
  [["example.org"], "https://example.org.evil.net/", "no"],
  [["example.org"], "https://notexample.org/", "no"],
  [["*.example.org"], "https://a.b.example.org/", "yes"],
  [["*.example.org"], "https://example.org/", "no"],
  [["*.example.org"], "https://evilexample.org/", "no"],
  [["example.org:8080"], "http://example.org:8080/", "yes"],
  [["example.org:8080"], "http://example.org/", "no"],
  [["example.org:443"], "https://example.org/", "yes"],
  [["example.org:80"], "https://example.org/", "no"],
  [["bücher.example"], "http://xn--bcher-kva.example/", "yes"],
  [["127.0.0.1"], "http://2130706433/", "yes"],
  [["[::1]"], "http://[0:0::1]:99/", "yes"],
  [["public"], "http://example.org/", "public"],
  [["public"], "http://public/", "public"],
  [["public", "minio"], "http://minio:9000/", "yes"],
  [[], "http://example.org/", "no"],
];
for (const [hosts, address, decision] of HOSTS) {
  test(`hosts [${hosts}]: ${address} is "${decision}"`, async () => {
    assert.is(await hostDecision(sourceRule({ hosts }), new URL(address)), decision);
  });
}

test("what is exported for strangers is inline and public hosts", async () => {
  const rule = sourceRule(PUBLIC_SOURCES);
  assert.equal(rule, { type: "list", folders: [], hosts: ["public"] });
});

const BAD: readonly [sources: unknown, message: RegExp][] = [
  ["all", /sources is "all", expected "any", "inline", PUBLIC_SOURCES, { folders, hosts } or a function/],
  [null, /sources is null/],
  [7, /sources is 7/],
  [Symbol("x"), /sources is Symbol\(x\)/],
  [["/data"], /sources is a list of 1/],
  [{ folder: ["/data"] }, /sources has no "folder"; it has folders, hosts/],
  [{ folders: "/data" }, /sources\.folders must be a list/],
  [{ folders: [""] }, /sources\.folders must be a list/],
  [{ folders: ["file:///data"] }, /"file:\/\/\/data" is an address; give a path/],
  [{ hosts: [7] }, /sources\.hosts must be a list/],
  [{ hosts: ["*"] }, /sources\.hosts: "\*" is no host/],
  [{ hosts: ["a.*.org"] }, /is no host/],
  [{ hosts: ["https://example.org"] }, /is no host/],
  [{ hosts: ["example.org/a"] }, /is no host/],
  [{ hosts: ["me@example.org"] }, /is no host/],
  [{ folders: ["/data\0/x"] }, /holds a letter that no path may/],
];
for (const [sources, message] of BAD) {
  test(`sources ${typeof sources === "symbol" ? "Symbol" : JSON.stringify(sources)} is refused`, () => {
    try {
      sourceRule(sources as Sources);
    } catch (error) {
      assert.is((error as GlimtError).code, "OPTION_INVALID", (error as Error).message);
      assert.match((error as Error).message, message);
      return;
    }
    assert.unreachable("no error");
  });
}

test("lists that throw, and what is no plain object, are refused with a code", () => {
  const throws = () => {
    throw new Error("of the caller's");
  };
  const odd: object[] = [
    Object.defineProperty({}, "hosts", { enumerable: true, get: throws }),
    new Proxy({}, { ownKeys: throws }),
    { hosts: new Proxy([], { get: throws }) },
    new Map([["hosts", ["public"]]]),
    new Set(["public"]),
    new URL("https://example.org/"),
  ];
  for (const sources of odd) {
    try {
      sourceRule(sources as Sources);
    } catch (error) {
      assert.is((error as GlimtError).code, "OPTION_INVALID", String(error));
      continue;
    }
    assert.unreachable("no error");
  }
});

test("a list that is changed later changes nothing", async () => {
  const hosts = ["example.org"];
  const rule = sourceRule({ hosts });
  hosts.push("evil.net");
  assert.is(await hostDecision(rule, new URL("http://evil.net/")), "no");
});

test.run();
