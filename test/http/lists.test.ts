import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const R = "/api/runtime";

const nextOf = (link: string | undefined) => link?.match(/^<([^>]+)>; rel="next"$/)?.[1];

/** All pages from `path` on; `between` runs after each of them. */
async function pagesFrom(path: string, between = async () => {}): Promise<{ id: string }[][]> {
  const pages = [];
  for (let next: string | undefined = path; next; ) {
    const { body, headers } = await api.get(next).expect(200);
    pages.push(body);
    next = nextOf(headers.link);
    await between();
  }
  return pages;
}

describe("a list", async () => {
  const made: string[] = [];
  for (let n = 0; n < 7; n++) made.push((await aLeasedTask(db)).task.id);

  it.each(["/llm-tasks", "/llm-tasks?status=leased", "/leases", "/leases?status=active", "/audit", "/workers"])(
    "%s is read page by page, each row once, whatever comes in meanwhile",
    async (path) => {
      const whole = (await api.get(`${R}${path}${path.includes("?") ? "&" : "?"}limit=1000`).expect(200)).body;
      expect(whole.length).toBeGreaterThanOrEqual(7);
      const isByName = path === "/workers";
      const pages = await pagesFrom(`${R}${path}${path.includes("?") ? "&" : "?"}limit=3`, async () => {
        if (isByName) await aWorker(db, { name: `0-${Math.random()}` });
        else await aLeasedTask(db);
      });
      expect(pages.every((page, n) => page.length === 3 || n === pages.length - 1)).toBe(true);
      expect(pages.flat().map(({ id }) => id)).toEqual(whole.map(({ id }: { id: string }) => id));
    },
  );

  it("whose rows are of one millisecond skips and repeats none", async () => {
    const { query: ask, db: own } = await createTestDatabase();
    for (let n = 0; n < 5; n++) await aTask(own);
    await ask("update llm_tasks set created_at = 1");
    const { api: alone } = await startApp(own);
    const seen = [];
    for (let next: string | undefined = `${R}/llm-tasks?limit=2`; next; ) {
      const { body, headers } = await alone.get(next);
      seen.push(...body.map(({ id }: { id: string }) => id));
      next = nextOf(headers.link);
    }
    expect([seen.length, new Set(seen).size]).toEqual([5, 5]);
  });

  it("has at most as many rows as asked for, 500 unless told, and no Link where nothing follows", async () => {
    const { headers } = await api.get(`${R}/llm-tasks?limit=1000`);
    expect(headers.link).toBeUndefined();
    await query(
      `insert into llm_tasks select gen_random_uuid(), context_id, agent_slug, prompt, context_hints, policy, desired_format, 'failed',
         1, 1, null::uuid, null, 0, 3 from llm_tasks, generate_series(1, 200) where id = $1
       union all select gen_random_uuid(), context_id, agent_slug, prompt, context_hints, policy, desired_format, 'dead',
         1, 1, null::uuid, null, 0, 3 from llm_tasks, generate_series(1, 1000) where id = $1`,
      [made[0]],
    );
    const usual = await api.get(`${R}/llm-tasks`);
    expect([usual.body.length, usual.headers.link]).toEqual([500, expect.stringContaining('rel="next"')]);
    expect((await api.get(`${R}/llm-tasks?limit=5000`)).body).toHaveLength(1_000);
    expect((await api.get(`${R}/runs`)).headers.link).toBeUndefined();
  });

  it.each(["x", "1", "1.2", `1.${"0".repeat(36)}`, "1.01a209a4-fab4-70b3-99f9-470f2081b27e'"])(
    "refuses the cursor %s",
    async (after) => {
      const { body } = await api.get(`${R}/llm-tasks`).query({ after }).expect(400);
      expect(body.error).toContain("after: must come from the Link");
    },
  );

  it.each([
    ["/llm-tasks", "context_id", "limit, after, status"],
    ["/leases", "worker_id", "limit, after, status"],
    ["/artifacts", "status", "limit, after, task_id"],
    ["/audit", "entity_id", "limit, after"],
    ["/workers", "status", "limit, after"],
    ["/runs", "status", "limit, after"],
    [`/llm-tasks/${made[0]}/results`, "__proto__", "limit, after"],
    [`/llm-tasks/${made[0]}/history`, "action", "limit, after"],
    [`/artifacts/${made[0]}/url`, "expires", "expires_seconds"],
  ])("%s has no parameter %s, and names those that it has", async (path, name, known) => {
    const { body } = await api.get(`${R}${path}?${name}=x`).expect(400);
    expect(body.error).toBe(`The query is not valid. ${name}: there is no such parameter here, only ${known}`);
  });

  it.each(["/llm-tasks", "/runs"])("%s ends a page at 8 MB, with one record at least, and goes on", async (path) => {
    const { query: ask, db: own } = await createTestDatabase();
    const { api: alone } = await startApp(own);
    const ids = [];
    for (const size_bytes of [1, 9_000_000, 3_000_000, 4_000_000, 5_000_000]) {
      const { id } = await aTask(own);
      await ask("update llm_tasks set size_bytes = $2 where id = $1", [id, size_bytes]);
      ids.unshift(id);
    }
    const pages = [];
    for (let next: string | undefined = R + path; next; ) {
      const { body, headers } = await alone.get(next).expect(200);
      pages.push(body.map(({ id }: { id: string }) => id));
      next = nextOf(headers.link);
    }
    expect(pages).toEqual([[ids[0]], [ids[1], ids[2]], [ids[3]], [ids[4]]]);
  });

  it("of workers ends a page at 8 MB as well", async () => {
    const { query: ask, db: own } = await createTestDatabase();
    const { api: alone } = await startApp(own);
    await aWorker(own, { name: "w" });
    await ask(`insert into workers (id, node_id, status, capabilities, registered_at)
      select 'w' || n, 'w' || n, 'online', jsonb_build_object('claude_cli', true, 'max_concurrency', 1, 'labels',
        jsonb_build_array(repeat('x', 1500000))), 1 from generate_series(1, 3) n`);
    const { body, headers } = await alone.get(`${R}/workers`).expect(200);
    expect(body.map(({ id }: { id: string }) => id)).toEqual(["w", "w1", "w2"]);
    const { body: more, headers: last } = await alone.get(nextOf(headers.link) ?? "").expect(200);
    expect([more.map(({ id }: { id: string }) => id), last.link]).toEqual([["w3"], undefined]);
  });

  it("of large records arrives whole, in parts", async () => {
    const { db: own } = await createTestDatabase();
    const { api: alone } = await startApp(own);
    const prompts = [..."abcde"].map((letter) => letter.repeat(700_000));
    for (const prompt of prompts)
      await alone.post(`${R}/llm-tasks`).send({ context_id: "c", agent_slug: "a", prompt }).expect(201);
    const { body, headers } = await alone.get(`${R}/llm-tasks?limit=4`).expect(200);
    expect(body.map(({ prompt }: { prompt: string }) => prompt)).toEqual(prompts.reverse().slice(0, 4));
    expect([headers["content-length"], nextOf(headers.link)]).toEqual([undefined, expect.any(String)]);
  });
});
