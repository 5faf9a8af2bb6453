import type { Response } from "supertest";
import { describe, expect, it } from "vitest";
import { declaredCalls } from "../../src/app.ts";
import { documentOf } from "../../src/http/openapi/document.ts";
import { pageOf } from "../../src/http/openapi/page.ts";
import type { Schema } from "../../src/http/openapi/schemas.ts";
import { descriptionOf } from "../../src/http/openapi/type-as-html.ts";
import { faultOf } from "../support/against-document.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const { api } = await startApp(db, { env: { RUNTIME_API_KEY: "a-key-for-tests-0123456789" } });
const calls = declaredCalls();
const declared = documentOf(calls, "1.0.0");
const { components } = declared;
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
    const { paths } = declared;
    for (const { method, path, access, ownKey } of calls) {
      const { parameters, security } = paths[inDocument(path)]?.[method] ?? {};
      const inPath = (parameters as { name: string; in: string }[]).filter((each) => each.in === "path");
      expect(inPath.map(({ name }) => `:${name}`)).toEqual(path.match(/:\w+/g) ?? []);
      const own = ownKey ? [{ [ownKey]: [] }] : [];
      expect(security).toEqual(access === "anybody" ? [] : [{ key: [] }, ...own]);
      for (const name of [...own].flatMap(Object.keys)) expect(components.securitySchemes).toHaveProperty(name);
    }
  });

  it("says of every field and parameter what it is", () => {
    const undescribed: string[] = [];
    const visit = (schema: Schema, place: string) => {
      for (const [name, field] of Object.entries((schema.properties ?? {}) as Record<string, Schema>)) {
        const isKnown =
          field.const !== undefined || descriptionOf(field) !== "" || /"\$ref"/.test(JSON.stringify(field));
        if (!isKnown) undescribed.push(`${place}.${name}`);
        visit(field, `${place}.${name}`);
      }
      const { items, additionalProperties: others, anyOf = [], allOf = [] } = schema;
      for (const inner of [items, others, ...(anyOf as Schema[]), ...(allOf as Schema[])])
        if (typeof inner === "object") visit(inner as Schema, place);
    };
    const { paths } = declared;
    for (const [name, schema] of Object.entries(components.schemas ?? {})) visit(schema as Schema, name);
    for (const operation of Object.values(paths).flatMap((methods) => Object.values(methods))) {
      const { operationId, parameters, requestBody, responses } = operation;
      for (const { name, description = "" } of parameters)
        if (description === "") undescribed.push(`${operationId}?${name}`);
      for (const { content = {} } of [requestBody ?? {}, ...Object.values(responses)])
        for (const { schema } of Object.values(content)) visit(schema, operationId);
    }
    expect(undescribed).toEqual([]);
  });

  it("has an example of every body and of every answer, which is valid", () => {
    const faults: unknown[] = [];
    for (const { method, path, schema } of calls) {
      const { requestBody, responses = {} } = declared.paths[inDocument(path)]?.[method] ?? {};
      const body = requestBody?.content?.["application/json"];
      const verdict = body && schema?.safeParse(body.example);
      if (verdict && !verdict.success) faults.push([path, body.example, verdict.error.issues]);
      for (const [status, { content }] of Object.entries(responses)) {
        const example = content?.["application/json"]?.example;
        if (example === undefined || status === "default") continue;
        const header = (name: string) => (name === "content-type" ? "application/json" : undefined);
        const answer = {
          method: method.toUpperCase(),
          path: path.replace(/:\w+/g, "x"),
          status: Number(status),
          header,
        };
        faults.push(faultOf({ ...answer, body: JSON.stringify(example) }));
      }
    }
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
  });

  it("has no group of a single call", () => {
    const groups = Object.values(declared.paths).flatMap((methods) =>
      Object.values(methods).map(({ tags }) => String(tags)),
    );
    expect(groups.filter((group) => groups.filter((other) => other === group).length === 1)).toEqual([]);
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
