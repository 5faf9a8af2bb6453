import type { Response } from "supertest";
import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const { api } = await startApp(db, { env: { RUNTIME_API_KEY: "a-key-for-tests-0123456789" } });

describe("the console", () => {
  const asBrowser = (path: string) => api.get(path).set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
  /** The files that a page can load, itself or by one that it loads. */
  const reachable = async () => {
    const { text } = await asBrowser("/console");
    const files = new Map<string, string>();
    const names = (source: string) =>
      [...source.matchAll(/\w[\w.-]*-[A-Z0-9]{8}\.(?:js|css|svg)/g)].map(([name]) => name);
    for (const queue = names(text); ; ) {
      const name = queue.pop();
      if (name === undefined) return files;
      if (files.has(name)) continue;
      const { status, body } = await api.get(`/console/files/${name}`).buffer(true).parse(bytes);
      expect([name, status]).toEqual([name, 200]);
      files.set(name, body);
      queue.push(...names(body));
    }
  };
  const bytes = (response: Response, done: (error: Error | null, text: string) => void) => {
    let text = "";
    response.on("data", (piece: Buffer) => {
      text += piece;
    });
    response.on("end", () => done(null, text));
  };

  it("is where a browser is led to, and other clients are not", async () => {
    const { status, headers } = await asBrowser("/");
    expect([status, headers.location]).toEqual([302, "/console"]);
    expect((await api.get("/")).status).toBe(404);
    expect((await api.get("/").set("Accept", "*/*")).status).toBe(404);
  });

  it("is one page at all of its addresses, which runs nothing but its own files", async () => {
    const first = await asBrowser("/console");
    for (const path of ["/console/tasks", "/console/tasks/a%2Fb"])
      expect((await asBrowser(path)).text).toBe(first.text);
    expect([first.status, first.type, first.headers["cache-control"]]).toEqual([200, "text/html", "no-cache"]);
    const policy = first.headers["content-security-policy"] ?? "";
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).not.toMatch(/unsafe|upgrade-insecure-requests|https?:/);
    expect(first.text).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=")/);
    const again = await asBrowser("/console").set("If-None-Match", first.headers.etag ?? "");
    expect(again.status).toBe(304);
  });

  it("has files that never change, compressed, of less than 60 KB of scripts and 12 KB of styles in both languages", async () => {
    const files = await reachable();
    const sizes = { js: 0, css: 0, svg: 0, parser: 0 };
    for (const name of files.keys()) {
      const path = `/console/files/${name}`;
      const sent = await api.get(path).set("Accept-Encoding", "gzip");
      expect([sent.headers["content-encoding"], sent.headers["cache-control"]]).toEqual([
        "gzip",
        "public, max-age=31536000, immutable",
      ]);
      // The parser of Markdown is read only when somebody asks for it.
      const kind = name.startsWith("marked") ? "parser" : name.slice(name.lastIndexOf(".") + 1);
      sizes[kind as keyof typeof sizes] += Number(sent.headers["content-length"]);
      const smallest = await api.head(path).set("Accept-Encoding", "gzip, br");
      expect(smallest.headers["content-encoding"]).toBe("br");
    }
    expect(sizes.js).toBeGreaterThan(0);
    expect(sizes.js).toBeLessThan(60_000);
    expect(sizes.css).toBeGreaterThan(0);
    expect(sizes.css).toBeLessThan(12_000);
    expect(sizes.parser).toBeGreaterThan(0);
    expect(sizes.parser).toBeLessThan(20_000);
  });

  it("has no other files", async () => {
    for (const name of ["index.html", "..%2F..%2Fpackage.json", "main-AAAAAAAA.js", "main-AAAAAAAA.js.br"])
      expect((await api.get(`/console/files/${name}`)).status).toBe(404);
  });

  it("learns who its key is", async () => {
    const { status, body } = await api
      .get("/api/runtime/whoami")
      .set("X-Runtime-API-Key", "a-key-for-tests-0123456789");
    expect([status, body.key, body.role]).toEqual([200, "RUNTIME_API_KEY", "admin"]);
    expect((await api.get("/api/runtime/whoami")).status).toBe(401);
  });
});
