import { expect, it } from "vitest";
import { beginningInJson, bytesInJson } from "../src/bytes-in-json.ts";

it.each([
  ["of every UTF-16 unit", Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code)).join("")],
  ["of whole and broken surrogate pairs", "\u{10000}\u{10ffff}\ud800\ud800\udc00\udc00\ud800"],
])("a text %s takes as many bytes as JSON.stringify makes of it", (_what, text) => {
  expect(bytesInJson(text)).toBe(Buffer.byteLength(JSON.stringify(text)) - 2);
});

it("the beginning of a text is as long as its bytes in JSON allow, and cuts no character in two", () => {
  expect(beginningInJson("\u0001\u{10000}xy", 10)).toBe("\u0001\u{10000}");
  expect(beginningInJson("\u0001\u{10000}", 9)).toBe("\u0001");
});
