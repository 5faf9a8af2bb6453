import { describe, expect, it } from "vitest";
import { declaredCalls } from "../../src/app.ts";
import { documentOf } from "../../src/http/openapi/document.ts";
import { htmlPageOf } from "../../src/http/openapi/page.ts";
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
    const page = htmlPageOf(
      documentOf([{ ...first, summary: `<script>"it's"</script> & more` }], "1.0.0"),
      "/style.css",
    );
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
