/** What begins as a web page, and what does not; a server can not keep the look at it busy. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isWebPage, PAGE_START_BYTES } from "../../src/http/web-page.ts";

const CASES: readonly [start: string, isPage: boolean][] = [
  ["<!DOCTYPE html>", true],
  ["\ufeff \n<!doctype   HTML PUBLIC", true],
  ["<html lang=en>", true],
  ["<HEAD>", true],
  ["<body\n>", true],
  ["<!-- a\n - --> <!---->\n<html>", true],
  ["<!-- <html> ", false],
  ["<!-- --> x <html>", false],
  ["<htmlx>", false],
  ["<svg xmlns=", false],
  ["<?xml version=", false],
  ['{"a": "<html>"}', false],
  ["", false],
];
for (const [start, isPage] of CASES) {
  test(`${JSON.stringify(start)} is ${isPage ? "a" : "no"} page`, () => {
    assert.is(isWebPage(new TextEncoder().encode(start)), isPage);
  });
}

test("comments that are made to take long take no time", () => {
  const start = performance.now();
  for (const piece of ["<!---->", "<!--", "<!-- -->", " ", "-->"]) {
    isWebPage(new TextEncoder().encode(piece.repeat(PAGE_START_BYTES)));
  }
  assert.ok(performance.now() - start < 5_000);
});

test.run();
