import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { KEY_HEADER, MAIN_KEY } from "../support/keys.ts";

const { db, query } = await createTestDatabase();
const env = { RUNTIME_API_KEY: MAIN_KEY, MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", WRONG_KEY_LIMIT_PER_MINUTE: "0" };

const R = "/api/runtime";

describe("a request's id", async () => {
  const { api: logging, logged } = await startApp(db, { env });
  const linesOf = (id: unknown) => logged.filter(({ requestId }) => requestId === id);

  it("is the client's own, comes back, and is in every line that the request brings about", async () => {
    const id = `trace-${randomUUID()}`;
    await logging.get(`${R}/stats`).set("X-Request-Id", id).set(KEY_HEADER, MAIN_KEY).expect("X-Request-Id", id);
    await expect.poll(() => linesOf(id).map(({ msg }) => msg)).toEqual(["request"]);
    await query("alter table llm_tasks rename to gone");
    try {
      await logging.get(`${R}/llm-tasks`).set("X-Request-Id", `${id}-2`).set(KEY_HEADER, MAIN_KEY).expect(500);
    } finally {
      await query("alter table gone rename to llm_tasks");
    }
    await expect.poll(() => linesOf(`${id}-2`).map(({ msg }) => msg)).toEqual(["request failed", "request"]);
  });

  it.each([undefined, "", "x".repeat(129), "a b", "\u001b[31m", 'x","level":60'])(
    "is made where there is none that may stand in a log: %j",
    async (given) => {
      const asking = logging.get(`${R}/health`);
      if (given !== undefined) asking.set("X-Request-Id", given.replace("\u001b", "\t"));
      const id = (await asking.expect(200)).get("X-Request-Id");
      expect(id).toMatch(/^[0-9a-f-]{36}$/);
      await expect.poll(() => linesOf(id)).toHaveLength(1);
    },
  );
});
