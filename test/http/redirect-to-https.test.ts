import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { sendBytes } from "../support/send-bytes.ts";

const { db } = await createTestDatabase();
const RUNTIME = "/api/runtime";
const start = (env: Record<string, string>) => startApp(db, { env });

describe("in production", async () => {
  const { api, url } = await start({ NODE_ENV: "production", ALLOW_OPEN: "true" });

  it("what reached the proxy over http is redirected to https", async () => {
    const ask = (proto: string, host = "bloom.example") =>
      api.get(`${RUNTIME}/health?a=b`).set("X-Forwarded-Proto", proto).set("Host", host);
    const redirected = await ask("http");
    expect([redirected.status, redirected.headers.location]).toEqual([
      301,
      `https://bloom.example${RUNTIME}/health?a=b`,
    ]);
    expect((await ask("http", "my_runtime:3002")).headers.location).toBe(
      `https://my_runtime:3002${RUNTIME}/health?a=b`,
    );
    for (const [method, status] of [
      ["head", 301],
      ["post", 308],
      ["put", 308],
      ["delete", 308],
    ] as const)
      expect((await api[method](`${RUNTIME}/workers`).set("X-Forwarded-Proto", "http")).status).toBe(status);
    expect((await ask("https")).status).toBe(200);
    expect((await api.get(`${RUNTIME}/health`)).status).toBe(200);
    expect((await ask("http", "evil.example/path?")).status).toBe(400);
  });

  /** Where a request for `target`, which no parser has tidied up, is sent to; its status where it is not. */
  async function sentTo(url: string, target: string, host: string) {
    const answer = await sendBytes(
      url,
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n`,
    );
    if (answer.startsWith("HTTP/1.1 301 ")) expect(answer).toMatch(/^cache-control: no-store\r$/im);
    return answer.match(/^location: (.*)\r$/im)?.[1] ?? Number(answer.split(" ")[1]);
  }

  it.each([
    ["/a?b=c", "bloom.example", "https://bloom.example/a?b=c"],
    ["/a//b", "bloom.example:8443", "https://bloom.example:8443/a//b"],
    ["http://evil.example/a?b=c", "bloom.example", "https://bloom.example/a?b=c"],
    ["HTTPS://user:pw@evil.example", "bloom.example", "https://bloom.example/"],
    ["//evil.example/a", "bloom.example", 400],
    ["/\\evil.example/a", "bloom.example", 400],
    ["ftp://evil.example/a", "bloom.example", 400],
    ["/a", "bloom.example@evil.example", 400],
    ["/a", "", 400],
  ])("%s for the host %j leads to %s, and nowhere else", async (target, host, expected) => {
    expect(await sentTo(url, target, host)).toBe(expected);
  });

  it("an https PUBLIC_URL is where it leads, whatever the Host header says", async () => {
    const known = await start({
      NODE_ENV: "production",
      ALLOW_OPEN: "true",
      PUBLIC_URL: "https://bloom.example:444/base",
    });
    expect(await sentTo(known.url, "/a?b=c", "evil.example")).toBe("https://bloom.example:444/a?b=c");
    const inside = await start({ NODE_ENV: "production", ALLOW_OPEN: "true", PUBLIC_URL: "http://10.0.0.5:3002" });
    expect(await sentTo(inside.url, "/a", "bloom.example")).toBe("https://bloom.example/a");
  });
});
