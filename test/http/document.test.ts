import { describe, expect, it } from "vitest";
import { declaredCalls } from "../../src/app.ts";
import { documentOf } from "../../src/http/openapi/document.ts";
import { pageOf } from "../../src/http/openapi/page.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const { api } = await startApp(db, { env: { RUNTIME_API_KEY: "a-key-for-tests-0123456789" } });
const calls = declaredCalls();
const inDocument = (path: string) => path.replace(/:(\w+)/g, "{$1}");

describe("GET /api/runtime/openapi.json", () => {
  it("describes every declared call once, under a name of its own", async () => {
    const { status, body } = await api.get("/api/runtime/openapi.json");
    expect([status, body.openapi]).toEqual([200, "3.1.1"]);
    const described = Object.entries<Record<string, { operationId: string }>>(body.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => `${operationId}: ${method} ${path}`),
    );
    expect(described.sort()).toEqual(
      calls.map(({ name, method, path }) => `${name}: ${method} ${inDocument(path)}`).sort(),
    );
    expect(new Set(calls.map(({ name }) => name)).size).toBe(calls.length);
  });

  it("refers to nothing that it does not have", async () => {
    const { body, text } = await api.get("/api/runtime/openapi.json");
    const references = new Set([...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = ""]) => path));
    const missing = [...references].filter(
      (path) => path.split("/").reduce((part, name) => part?.[name], body) === undefined,
    );
    expect(missing).toEqual([]);
    expect(references).toContain("components/schemas/Task");
    expect(references).toContain("components/responses/NoKey");
  });

  it("declares every parameter of an address, and a key for all calls but the open ones", () => {
    const { paths } = documentOf(calls, "1.0.0");
    for (const { method, path, access } of calls) {
      const { parameters, security } = paths[inDocument(path)]?.[method] ?? {};
      const inPath = (parameters as { name: string; in: string }[]).filter((each) => each.in === "path");
      expect(inPath.map(({ name }) => `:${name}`)).toEqual(path.match(/:\w+/g) ?? []);
      expect(security).toEqual(access === "anybody" ? [] : [{ key: [] }]);
    }
  });
});

describe("GET /docs", () => {
  it("names every call on a page that runs nothing and loads nothing but its style", async () => {
    const { status, text, headers } = await api.get("/docs");
    expect([status, headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    expect(headers["content-security-policy"]).toBe(
      "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    for (const { name, path } of calls) {
      expect(text).toContain(`<details id="${name}">`);
      expect(text).toContain(`<code>${inDocument(path)}</code>`);
    }
    expect(text).not.toMatch(/<script|<style|\sstyle=|\son\w+=/);
    const style = await api.get("/docs/style.css");
    expect([style.status, style.headers["content-type"]]).toEqual([200, "text/css; charset=utf-8"]);
  });

  it("shows the signs of HTML as they are", () => {
    const [first] = calls;
    if (first === undefined) throw new Error("There are no calls.");
    const page = pageOf(documentOf([{ ...first, summary: `<script>"it's"</script> & more` }], "1.0.0"), "/style.css");
    expect(page).toContain("&lt;script&gt;&quot;it&#39;s&quot;&lt;/script&gt; &amp; more");
    expect(page).not.toContain("<script");
  });
});

it.each(["/api/runtime/openapi.json", "/docs", "/docs/style.css"])(
  "answers 304 for %s that the client has",
  async (path) => {
    const { headers } = await api.get(path);
    const again = await api.get(path).set("If-None-Match", headers.etag ?? "");
    expect([again.status, again.text, again.headers.etag]).toEqual([304, "", headers.etag]);
    const other = await api.get(path).set("If-None-Match", '"another"');
    expect(other.status).toBe(200);
  },
);
