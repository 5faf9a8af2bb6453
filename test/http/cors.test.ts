import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const KEY = "a key of the runtime";
const RUNTIME = "/api/runtime";

describe("CORS", () => {
  it("lets pages of the configured origins in, and no others", async () => {
    const { api } = await startApp(db, { env: { CORS_ORIGINS: "https://garden.example", RUNTIME_API_KEY: KEY } });
    const from = (origin: string) => api.get(`${RUNTIME}/health`).set("Origin", origin);
    expect((await from("https://garden.example")).headers["access-control-allow-origin"]).toBe(
      "https://garden.example",
    );
    expect((await from("https://evil.example")).headers).not.toHaveProperty("access-control-allow-origin");
    const exposed = (await from("https://garden.example")).headers["access-control-expose-headers"];
    for (const name of ["ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "Link", "X-Request-Id"])
      expect(exposed?.split(",")).toContain(name);
    const preflight = await api
      .options(`${RUNTIME}/llm-tasks`)
      .set({ Origin: "https://garden.example", "Access-Control-Request-Method": "POST" })
      .set("Access-Control-Request-Headers", "x-runtime-api-key,content-type");
    expect([preflight.status, preflight.headers["access-control-allow-headers"]]).toEqual([
      204,
      "x-runtime-api-key,content-type",
    ]);
  });

  it("is off by default", async () => {
    const { api } = await startApp(db);
    const { headers } = await api.get(`${RUNTIME}/health`).set("Origin", "https://garden.example");
    expect(headers).not.toHaveProperty("access-control-allow-origin");
  });
});
