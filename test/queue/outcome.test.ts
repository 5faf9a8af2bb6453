import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ERROR_KINDS } from "../../src/db/kinds.ts";
import { RULES } from "../../src/queue/outcome.ts";
import { metrics, serviceForAttempts } from "../support/attempts.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { api, db, query, lease, claimed, fails } = await serviceForAttempts();
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";

const becomesDue = (id: string) =>
  query("update llm_tasks set retry_at = 1, elsewhere_until = least(elsewhere_until, retry_at) where id = $1", [id]);

describe("what a failed attempt does to its task", () => {
  it.each(ERROR_KINDS)("%s: is what its rule says, without retry and with", async (kind) => {
    const { task: next, attempt } = RULES[kind];
    await aWorker(db, { name: "rpi", capabilities: { max_concurrency: 2 } });
    const [plain, retried] = [await aTask(db), await aTask(db, { retry: { base_delay_sec: 100, max_delay_sec: 100 } })];
    for (const { id } of [plain, retried]) {
      await query("update workers set rest = null, account_rest = null");
      await fails(id, "rpi", kind);
    }
    const [withoutRetry, withRetry] = await Promise.all(
      [plain, retried].map(async ({ id }) => (await api.get(`${TASKS}/${id}`)).body),
    );
    const queued = {
      requeue: ["queued", "queued"],
      delay: ["queued", "queued"],
      "as retry says": ["failed", "queued"],
      fail: ["failed", "failed"],
    };
    expect([withoutRetry.status, withRetry.status]).toEqual(queued[next]);
    expect([withoutRetry.attempts, withRetry.attempts]).toEqual(attempt === "counts" ? [1, 1] : [0, 0]);
    for (const task of [withoutRetry, withRetry])
      expect(task).toMatchObject({ error_kind: kind, last_error: `It was ${kind}.` });
    const delay = withRetry.retry_at === null ? 0 : withRetry.retry_at - Date.now();
    expect(delay > 70_000).toBe(withRetry.status === "queued" && next !== "requeue");
    const { body: results } = await api.get(`${TASKS}/${plain.id}/results`);
    expect(results[0]).toMatchObject({ status: "error", error_kind: kind });
  });

  it("overloaded: waits 15 s and then twice as long each time, with jitter, and is dead after its last attempt", async () => {
    const { id } = await aTask(db, { max_attempts: 3 });
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      await aWorker(db, { name: `rpi-${attempt}` });
      const { status, retry_at, updated_at } = await fails(id, `rpi-${attempt}`, "overloaded");
      if (status === "dead") continue;
      delays.push(retry_at - updated_at);
      await becomesDue(id);
    }
    expect(delays.map((ms, n) => ms > 0.79 * 15_000 * 2 ** n && ms <= 15_000 * 2 ** n)).toEqual([true, true]);
    expect((await api.get(`${TASKS}/${id}`)).body).toMatchObject({
      status: "dead",
      attempts: 3,
      error_kind: "overloaded",
    });
  });

  it.each(["provider_error", "timeout"] as const)(
    "%s: goes to another worker where there is one, and else to the same",
    async (kind) => {
      for (const name of ["a", "b"]) await aWorker(db, { name, capabilities: { max_concurrency: 4 } });
      const { id } = await aTask(db, { max_attempts: 5, retry: {} });
      await fails(id, "a", kind);
      await becomesDue(id);
      await fails(id, "a", kind);
      await query("update llm_tasks set retry_at = 1 where id = $1", [id]);
      expect(await claimed("a")).toBe(0);
      await query("update workers set last_heartbeat = last_heartbeat + 1000 where id = 'a'");
      expect(await lease(id)).toBe("b");
      await api.post(`${TASKS}/${id}/complete`).send({ status: "error", error_kind: kind, metrics }).expect(200);
      await becomesDue(id);
      await api.delete(`${WORKERS}/a`).expect(200);
      expect(await lease(id)).toBe("b");
    },
  );

  it("without allow_fallback goes to the worker that had it first, and to no other", async () => {
    for (const name of ["a", "b"]) await aWorker(db, { name });
    const { id } = await aTask(db, { allow_fallback: false, retry: {} });
    await fails(id, "a", "timeout");
    await becomesDue(id);
    await api.post(`${WORKERS}/a/drain`).send({}).expect(200);
    expect(await claimed("b")).toBe(0);
    expect((await api.post(`${TASKS}/${id}/lease`).send({})).status).toBe(503);
    const { reason, workers } = (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(reason).toContain("No worker can take it now.");
    expect(workers.map(({ reasons }: { reasons: string[] }) => reasons)).toEqual([
      ["is drained"],
      ["may not have it: it is kept to worker a"],
    ]);
    await api.post(`${WORKERS}/a/resume`).expect(200);
    expect(await claimed("a")).toBe(1);
  });

  it("keeps what there was of the output, marked as incomplete", async () => {
    await aWorker(db, { name: "rpi" });
    const { id } = await aTask(db);
    await lease(id, "rpi");
    const body = { status: "error", error_kind: "max_turns", partial_output: "half an ans", metrics };
    const { artifact, result } = (await api.post(`${TASKS}/${id}/complete`).send(body).expect(200)).body;
    expect([artifact.content, result.incomplete]).toEqual(["half an ans", true]);
  });

  it("is 400 where a success has a kind, or an output comes twice", async () => {
    await aWorker(db, { name: "rpi" });
    const { id } = await aTask(db);
    await lease(id, "rpi");
    for (const [body, field] of [
      [{ status: "success", error_kind: "auth" }, "error_kind"],
      [{ status: "error", output: "a", partial_output: "b" }, "partial_output"],
    ] as const) {
      const { status, text } = await api.post(`${TASKS}/${id}/complete`).send({ ...body, metrics });
      expect([status, text]).toEqual([400, expect.stringContaining(field)]);
    }
  });
});

it("docs/outcomes.md has the rules as they are", () => {
  const page = readFileSync(new URL("../../docs/outcomes.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.+?) \| (.+?) \|/gm)].map(([, kind, task, attempt]) => [
    kind,
    task,
    attempt,
  ]);
  const words = {
    requeue: "queued again at once",
    delay: "queued again after a delay",
    "as retry says": "as `retry` says",
    fail: "`failed`",
  };
  expect(rows).toEqual(ERROR_KINDS.map((kind) => [kind, words[RULES[kind].task], RULES[kind].attempt]));
});
