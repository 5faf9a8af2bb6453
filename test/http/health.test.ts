import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db, query } = await createTestDatabase();
const env = { RUNTIME_API_KEY: "the key that opens everything", RATE_LIMIT_PER_MINUTE: "2" };
const ready = { status: 200, body: { status: "ready" } };
const notReady = (error: unknown) => ({ status: 503, body: { status: "not ready", error } });

describe("/livez and /readyz", () => {
  it("need no key, and count for no limit", async () => {
    const { api } = await startApp(db, { env });
    for (let asked = 0; asked < 5; asked++) {
      expect(await api.get("/livez")).toMatchObject({ status: 200, body: { status: "alive" } });
      expect(await api.get("/readyz")).toMatchObject(ready);
    }
  });

  it("say that a service which stops is alive and not ready", async () => {
    const { api, stopping } = await startApp(db, { env });
    stopping.abort();
    expect(await api.get("/livez")).toMatchObject({ status: 200 });
    expect(await api.get("/readyz")).toMatchObject(notReady("The service is stopping."));
  });

  it("say so while the database lacks a migration, as one that was restored may", async () => {
    const { api } = await startApp(db, { env });
    const [last] = await query<{ hash: string; created_at: string }>(
      "delete from bloom_runtime.migrations where id = (select max(id) from bloom_runtime.migrations) returning hash, created_at",
    );
    expect(await api.get("/readyz")).toMatchObject(notReady(expect.stringMatching(/^The database lacks 1 migration/)));
    await query("insert into bloom_runtime.migrations (hash, created_at) values ($1, $2)", [
      last?.hash,
      last?.created_at,
    ]);
  });
});
