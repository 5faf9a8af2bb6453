import { describe, expect, it } from "vitest";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const KEY = "a key of the runtime";
const RUNTIME = "/api/runtime";

describe("the log", () => {
  it("has one line for each request: method, path, route, status, duration, and nothing of its query, headers and body", async () => {
    const { api, logged } = await startApp(db, { env: { RUNTIME_API_KEY: KEY, WRONG_KEY_LIMIT_PER_MINUTE: "0" } });
    const tasks = `${RUNTIME}/llm-tasks`;
    const create = (body: object | string, key = KEY) =>
      api.post(tasks).set("X-Runtime-API-Key", key).set("Content-Type", "application/json").send(body);
    await api.get(`${RUNTIME}/audit?limit=5&after=secret`).set("X-Runtime-API-Key", KEY);
    await create({ context_id: "garden", agent_slug: "writer", prompt: "secret" });
    await create({ prompt: "secret", max_attempts: "secret" });
    await create("{secret");
    await create({}, "a secret guess");
    const line = (method: string, path: string, route: string, status: number) =>
      expect.objectContaining({ method, path, route, status, durationMs: expect.any(Number) });
    // A line is written when the connection is done with the answer, which may be after the client has it.
    await expect
      .poll(() => logged.filter(({ durationMs }) => durationMs !== undefined).length)
      .toBeGreaterThanOrEqual(5);
    expect(logged).toHaveLength(5);
    expect(logged).toEqual(
      expect.arrayContaining([
        line("GET", `${RUNTIME}/audit`, "listAudit", 400),
        ...[201, 400, 401].map((status) => line("POST", tasks, "createTask", status)),
      ]),
    );
    expect(JSON.stringify(logged)).not.toMatch(/secret|a key of/);
    expect(JSON.stringify(logged)).not.toContain(ADMIN_KEY);
  });
});
