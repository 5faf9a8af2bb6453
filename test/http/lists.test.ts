import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { newId } from "../../src/db/ids.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, completion } from "../support/factories.ts";
import { inDatabase } from "../support/output-storage.ts";

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
    [
      "/llm-tasks",
      "entity_id",
      "limit, after, status, context_id, agent_slug, worker_id, error_kind, TIMES, q, fields",
    ],
    ["/leases", "agent_slug", "limit, after, status, task_id, worker_id, context_id, TIMES"],
    ["/artifacts", "status", "limit, after, task_id, type, TIMES, fields"],
    ["/audit", "status", "limit, after, entity_id, action, entity_type, actor, TIMES"],
    ["/workers", "fields", "limit, after, status, account, q"],
    ["/runs", "status", "limit, after, fields"],
    [`/llm-tasks/${made[0]}/results`, "__proto__", "limit, after, worker_id, status, error_kind, fields"],
    [`/llm-tasks/${made[0]}/history`, "entity_id", "limit, after, action, entity_type, actor"],
    [`/artifacts/${made[0]}/url`, "expires", "expires_seconds"],
  ])("%s has no parameter %s, and names those that it has", async (path, name, known) => {
    const { body } = await api.get(`${R}${path}?${name}=x`).expect(400);
    expect(body.error).toBe(
      `The query is not valid. ${name}: there is no such parameter here, only ${known.replace("TIMES", "created_after, created_before")}`,
    );
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

describe("a filter", async () => {
  const { db: own, query: ask } = await createTestDatabase();
  const { api: alone } = await startApp(own);
  const idsOf = async (path: string) => {
    const { body } = await alone.get(R + path).expect(200);
    return body.map(({ id }: { id: string }) => id).sort();
  };
  const garden = await aLeasedTask(own, { task: { context_id: "garden" }, worker: { name: "w1", account: "acme" } });
  const house = await aLeasedTask(own, { task: { context_id: "house" }, worker: { name: "W2" } });
  await completeTask(own, NOBODY, inDatabase, garden.task.id, completion({ artifact_type: "T" }));
  await completeTask(
    own,
    NOBODY,
    inDatabase,
    house.task.id,
    completion({ status: "error", error_message: "e", error_kind: "invalid_input" }),
  );
  const shed = await aTask(own, { context_id: "shed", agent_slug: "builder", prompt: "äb", context_hints: ["h"] });
  await ask("update llm_tasks set created_at = 1000 where id = $1", [garden.task.id]);
  const all = [garden.task.id, house.task.id, shed.id].sort();

  it.each<[string, string[]]>([
    ["/llm-tasks?status=queued,completed", [garden.task.id, shed.id]],
    ["/llm-tasks?status=queued&status=failed", [house.task.id, shed.id]],
    ["/llm-tasks?context_id=garden&agent_slug=writer", [garden.task.id]],
    ["/llm-tasks?agent_slug=builder", [shed.id]],
    ["/llm-tasks?worker_id=W2", [house.task.id]],
    ["/llm-tasks?error_kind=timeout,invalid_input", [house.task.id]],
    ["/llm-tasks?created_after=1000&created_before=1001", [garden.task.id]],
    ["/llm-tasks?created_before=1000", []],
    ["/llm-tasks?q=HO", [house.task.id]],
    [`/llm-tasks?q=${shed.id.toUpperCase()}`, [shed.id]],
    ["/llm-tasks?status=&context_id=&q=&fields=", all],
    ["/leases?status=released,active&worker_id=w1", [garden.lease.id]],
    [`/leases?task_id=${house.task.id}&context_id=house`, [house.lease.id]],
    ["/leases?created_before=1", []],
    ["/workers?status=online,error&q=w", ["W2", "w1"]],
    ["/workers?account=acme", ["w1"]],
    ["/workers?account=W2&status=offline", []],
  ])("of %s leaves what it means", async (path, ids) => {
    expect(await idsOf(path)).toEqual(ids.toSorted());
  });

  it("of audit entries, histories, artifacts and results leaves what it means", async () => {
    const actions = async (path: string) =>
      (await alone.get(R + path).expect(200)).body.map(({ action }: { action: string }) => action);
    expect(await actions(`/audit?entity_id=${garden.lease.id}`)).toEqual(["task_leased"]);
    expect(await actions("/audit?entity_type=worker&actor=api")).toEqual(["worker_registered", "worker_registered"]);
    expect(await actions("/audit?action=task_completed,task_failed&created_after=1&limit=1")).toHaveLength(1);
    expect(await actions("/audit?created_before=1000")).toEqual([]);
    expect(await actions(`/llm-tasks/${garden.task.id}/history?action=task_created,task_leased`)).toEqual([
      "task_created",
      "task_leased",
    ]);
    expect(await idsOf("/artifacts?type=T&created_after=1000")).toHaveLength(1);
    expect(await idsOf(`/artifacts?type=U&task_id=${garden.task.id}`)).toEqual([]);
    expect(await idsOf(`/llm-tasks/${house.task.id}/results?error_kind=invalid_input&status=error`)).toHaveLength(1);
    expect(await idsOf(`/llm-tasks/${house.task.id}/results?worker_id=w1`)).toEqual([]);
    await alone.get(`${R}/llm-tasks/${newId()}/results?worker_id=w1`).expect(404);
  });

  it.each<[string, string]>([
    ["/llm-tasks?status=queued,gone", "status: must be one of queued,"],
    ["/llm-tasks?error_kind=,", "error_kind: must be one of rate_limited"],
    ["/llm-tasks?created_after=yesterday", "created_after: must be a time in epoch milliseconds"],
    ["/llm-tasks?created_before=9999999999999999", "created_before: must be a time in epoch milliseconds"],
    [`/llm-tasks?q=${"x".repeat(513)}`, "q: must have 512 characters at most"],
    ["/llm-tasks?context_id=a%00", "context_id: must not contain NUL characters"],
    ["/llm-tasks?context_id=a&context_id=b", "context_id: must be a string, not a list"],
    ["/llm-tasks?fields=id", "fields: must be one of slim"],
    ["/leases?task_id=x", "task_id: must be a UUID"],
    ["/workers?status=busy", "status: must be one of online, offline"],
  ])("%s is refused with a sentence", async (path, sentence) => {
    const { body } = await alone.get(R + path).expect(400);
    expect(body.error).toContain(sentence);
  });

  it("keeps the pages' links", async () => {
    const path = `${R}/llm-tasks?status=queued,failed&fields=slim&limit=1`;
    const { headers } = await alone.get(path).expect(200);
    expect(nextOf(headers.link)).toContain(`${path.replace(",", "%2C")}&after=`);
  });

  it("of fields gives slim records, with the sizes of what they leave out", async () => {
    const [task] = (await alone.get(`${R}/llm-tasks?fields=slim&context_id=shed`).expect(200)).body;
    const { prompt, context_hints, structured_input, attachments, output_schema, ...slim } = shed;
    expect(task).toEqual({ ...slim, prompt_bytes: 3 });
    const runs = (await alone.get(`${R}/runs?fields=slim`).expect(200)).body;
    expect(runs.map((run: object) => "prompt" in run)).toEqual([false, false, false]);
    const [artifact] = (await alone.get(`${R}/artifacts?fields=slim&type=T`).expect(200)).body;
    expect(artifact).toMatchObject({ type: "T", accepted: true, size_bytes: 10 });
    expect(artifact).not.toHaveProperty("content");
    const [result] = (await alone.get(`${R}/llm-tasks/${garden.task.id}/results?fields=slim`).expect(200)).body;
    expect(result).toMatchObject({ status: "success", output_bytes: 10 });
    expect(result).not.toHaveProperty("output");
  });
});
