import { gzipSync } from "node:zlib";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { syncOnce } from "../../src/fleet/membridge-sync.ts";
import { createKeyCheck } from "../../src/http/auth.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { CALLS } from "../support/every-call.ts";
import { aLeasedTask } from "../support/factories.ts";
import { startNodeAgent } from "../support/node-agent.ts";
import { anAgent, aProject, secondsAgo, startMembridge } from "../support/scripted-membridge.ts";
import { sendBytes } from "../support/send-bytes.ts";
import { startProcess } from "../support/service-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { db, query, url: DATABASE_URL } = await createTestDatabase();
const app = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", MAX_BODY_MB: "2" } });
const { api } = app;
const R = "/api/runtime";
const task = { context_id: "c", agent_slug: "a", prompt: "p" };

describe("a header", () => {
  it("cannot be smuggled into an answer or a call, by no line break in whatever encoding", async () => {
    for (const breaks of ["%0d%0aSet-Cookie:%20a=b", "\r\n\tSet-Cookie: a=b", "\u560d\u560aSet-Cookie: a=b"]) {
      const id = encodeURI(breaks);
      const answer = await sendBytes(
        app.url,
        `GET ${R}/artifacts/${id}/content HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${breaks}\r\nConnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(answer.split("\r\n\r\n")[0]).not.toMatch(/^set-cookie:/im);
    }
    for (const admin_key of ["key\r\nX-Evil: 1", "key\u0000", "ключ"])
      await api.post(`${R}/config`).send({ membridge_server_url: "http://127.0.0.1:9", admin_key }).expect(400);
  });

  it("does not make two requests of one (smuggling)", async () => {
    const both =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n";
    expect(await sendBytes(app.url, both)).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe("the Host header", () => {
  it("that is none does not become the address that agents are given, nor does another protocol", async () => {
    const agent = await startNodeAgent({ runtime: app.url, name: "addressed" });
    const behind = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", TRUST_PROXY_HOPS: "1" } });
    const dispatch = async (host: string, protocol: string) => {
      const { id } = (await api.post(`${R}/llm-tasks`).send(task).expect(201)).body;
      return behind.api
        .post(`${R}/llm-tasks/${id}/dispatch`)
        .set({ Host: host, "X-Forwarded-Proto": protocol })
        .send({ worker_id: "addressed" });
    };
    for (const host of ["evil.example/path?", "user:pw@evil.example", "evil.example#"])
      expect((await dispatch(host, "https")).body).toEqual({ error: "The Host header is not a host name." });
    expect((await dispatch("bloom.example", "gopher")).status).toBe(200);
    const orders = agent.requests.filter(({ path }) => path === "/execute-task");
    expect(orders.map(({ body }) => body)).toMatchObject([{ runtime_url: "http://bloom.example" }]);
    await agent.close();
  });
});

describe("a key", () => {
  it("takes as long to refuse when all but its end is right", async () => {
    // So long that a comparison that ends at the first difference would show: it takes a thousandth of the time, or less.
    const key = "k".repeat(2_000_000);
    const isKey = createKeyCheck(key);
    // Whole strings, as they come from a socket, and not what V8 puts together when they are read first.
    const guesses = [`x${key.slice(1)}`, `${key.slice(0, -1)}x`].map((guess) => Buffer.from(guess).toString("latin1"));
    const ratio = () => {
      const times: number[][] = [[], []];
      for (let round = 0; round < 40; round++)
        for (const n of round % 2 === 0 ? [0, 1] : [1, 0]) {
          const started = performance.now();
          if (isKey(guesses[n] ?? key)) throw new Error("A wrong key was taken for the right one.");
          times[n]?.push(performance.now() - started);
        }
      const [early = 0, late = 0] = times.map((all) => all.toSorted((a, b) => a - b)[20]);
      return Math.max(late / early, early / late);
    };
    // Other tests run beside it.
    await expect.poll(ratio, { timeout: 15_000 }).toBeLessThan(1.25);
    expect(isKey(key)).toBe(true);
  });
});

describe("a body", () => {
  it("that grows when it is unpacked is refused before it has grown", async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024, " "));
    const before = process.memoryUsage().rss;
    const { status } = await api
      .post(`${R}/llm-tasks`)
      .set({ "Content-Type": "application/json", "Content-Encoding": "gzip" })
      .serialize((body) => body)
      .send(bomb);
    expect(status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it("that is too large, of another type or no JSON is refused", async () => {
    await api
      .post(`${R}/llm-tasks`)
      .send({ ...task, prompt: "x".repeat(2 * 1024 * 1024) })
      .expect(413);
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
      await api.post(`${R}/llm-tasks`).set("Content-Type", type).send("context_id=c").expect(415);
    await api.post(`${R}/llm-tasks`).set("Content-Type", "application/json").send("{'a': 1}").expect(400);
    expect(await query("select 1 from llm_tasks where prompt like 'xx%'")).toEqual([]);
  });

  it("does not change what all objects inherit", async () => {
    const poison =
      '{"context_id":"c","agent_slug":"a","prompt":"p","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"policy":{"__proto__":{"budget":7,"polluted":1}}}';
    const { body } = await api.post(`${R}/llm-tasks`).set("Content-Type", "application/json").send(poison).expect(201);
    expect(body.policy).toEqual({ timeout_sec: 120, budget: 0 });
    await api.get(`${R}/llm-tasks?__proto__[polluted]=1&constructor[prototype][polluted]=1`).expect(400);
    expect(Object.hasOwn(Object.prototype, "polluted") || "polluted" in {} || "polluted" in body).toBe(false);
  });
});

describe("SQL", () => {
  const INJECTION = "x'); drop table llm_tasks; --";
  const encoded = encodeURIComponent(INJECTION);

  it("in every text of every call is text", async () => {
    const texts = {
      context_id: INJECTION,
      agent_slug: INJECTION,
      prompt: INJECTION,
      context_hints: [INJECTION],
      requires: [INJECTION],
    };
    const { body } = await api.post(`${R}/llm-tasks`).set("Idempotency-Key", INJECTION).send(texts).expect(201);
    expect(body).toMatchObject({ ...texts, idempotency_key: INJECTION });
    const worker = {
      name: INJECTION,
      capabilities: { labels: [INJECTION] },
      ip_addrs: [INJECTION],
      agent_version: INJECTION,
    };
    const named = { os_info: INJECTION, install_method: INJECTION, boot_id: INJECTION };
    await api
      .post(`${R}/workers`)
      .send({ ...worker, ...named })
      .expect(201);
    await api.get(`${R}/workers/${encoded}`).expect(200);
    await api.post(`${R}/workers/${encoded}/drain`).send({ reason: INJECTION }).expect(200);
    await api.post(`${R}/workers/${encoded}/resume`).expect(200);
    const claim = { worker_id: INJECTION, agent_slugs: [INJECTION] };
    const { tasks } = (await api.post(`${R}/llm-tasks/claim`).send(claim).expect(200)).body;
    const at = `${R}/llm-tasks/${tasks[0].task.id}`;
    await api.post(`${at}/heartbeat`).send({ progress: INJECTION }).expect(200);
    const result = {
      output: INJECTION,
      error_message: INJECTION,
      artifact_type: INJECTION,
      artifact_tags: [INJECTION],
    };
    const completed = await api
      .post(`${at}/complete`)
      .send({ ...result, status: "success", metrics: { duration_ms: 1 } })
      .expect(200);
    expect(completed.body.artifact).toMatchObject({ content: INJECTION, type: INJECTION, tags: [INJECTION] });
    // Side by side: some of them wait for a Membridge that is not there.
    await Promise.all(
      CALLS.flatMap(([method, path]) => [
        api[method](path.replaceAll("/x", `/${encoded}`)).set("X-Lease-Id", INJECTION),
        api[method](`${path}?status=${encoded}&limit=${encoded}&task_id=${encoded}&expires_seconds=${encoded}`),
      ]),
    );
    expect(await query("select count(*)::int as tasks from llm_tasks where prompt = $1", [INJECTION])).toEqual([
      { tasks: 1 },
    ]);
  });
});

describe("SQL in what is less plain to see", () => {
  const INJECTION = "x'); drop table workers; --";

  it("in cursors and reasons is text", async () => {
    for (const name of ["w-1", INJECTION]) await api.post(`${R}/workers`).send({ name });
    const after = encodeURIComponent(INJECTION);
    const { body: page } = await api.get(`${R}/workers?after=${after}`).expect(200);
    expect(page.every(({ id }: { id: string }) => id > INJECTION)).toBe(true);
    const { headers } = await api.get(`${R}/workers?limit=1&after=${encodeURIComponent("x'")}`).expect(200);
    if (headers.link) await api.get(headers.link.split(/[<>]/)[1] ?? "").expect(200);
    for (const list of ["llm-tasks", "leases", "artifacts", "audit"])
      await api.get(`${R}/${list}?after=${after}`).expect(400);
    const { task: held, lease } = await aLeasedTask(db);
    await api.post(`${R}/llm-tasks/${held.id}/release`).send({ lease_id: lease.id, reason: INJECTION }).expect(200);
    await api.post(`${R}/llm-tasks/${held.id}/cancel`).send({ reason: INJECTION }).expect(200);
    const details = await query<{ detail: string }>(
      "select detail from audit_logs where entity_id = $1 and action in ('task_released', 'task_cancelled')",
      [held.id],
    );
    expect(details.map(({ detail }) => detail.endsWith(`: ${INJECTION}`))).toEqual([true, true]);
  });

  it("that Membridge reports or is told is text", async () => {
    const fake = await startMembridge();
    onTestFinished(fake.close);
    const { api: near, membridge } = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url } });
    fake.projects = [aProject("p", INJECTION)];
    const at = `/api/membridge/projects/${encodeURIComponent(INJECTION)}`;
    await near.post(`${at}/leadership/select`).send({ primary_node_id: INJECTION }).expect(200);
    const audited = await query("select detail from audit_logs where action = 'leadership_promote'");
    expect(audited).toEqual([{ detail: `Promoted primary to ${INJECTION} for project ${INJECTION}` }]);
    const name = `agent ${INJECTION}`;
    fake.agents = [anAgent(name, { labels: [INJECTION], ip_addrs: [INJECTION], db_sha: INJECTION })];
    for (const last_seen of [null, secondsAgo(1)]) {
      fake.agents = [{ ...(fake.agents[0] as object), last_seen }];
      await syncOnce(db, membridge, pino({ level: "silent" }));
    }
    const { body } = await near.get(`${R}/workers/${encodeURIComponent(name)}`).expect(200);
    expect(body).toMatchObject({
      id: name,
      capabilities: { labels: [INJECTION] },
      db_sha: INJECTION,
      status: "online",
    });
  });
});

describe("HTML in prompts and outputs", () => {
  it("comes back as JSON that no browser takes for a page", async () => {
    const html = "<script>alert(1)</script>";
    const { task: held } = await aLeasedTask(db, { task: { prompt: html, context_id: html } });
    const completion = { status: "success", output: html, metrics: { duration_ms: 1 } };
    await api.post(`${R}/llm-tasks/${held.id}/complete`).send(completion).expect(200);
    for (const path of [
      "llm-tasks",
      `llm-tasks/${held.id}`,
      `llm-tasks/${held.id}/results`,
      "artifacts",
      "audit",
      "runs",
    ]) {
      const { headers } = await api.get(`${R}/${path}`).expect(200);
      expect(headers).toMatchObject({
        "content-type": "application/json; charset=utf-8",
        "x-content-type-options": "nosniff",
        "content-security-policy": expect.stringContaining("default-src 'self'"),
        "x-frame-options": "SAMEORIGIN",
      });
    }
    const { headers } = await api.get(`/api/${encodeURIComponent(html)}`).expect(404);
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  });
});

describe("the log", async () => {
  const DATA_DIR = await temporaryFolder("bloom-attacks-");

  it("has one line of JSON for each thing, whatever it is told, and nothing that a terminal obeys", async () => {
    const service = await startProcess({
      DATABASE_URL,
      DATA_DIR,
      LOG_LEVEL: "trace",
      MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
    });
    const forged = '\u001b[2J\u001b]0;owned\u0007\n{"level":60,"msg":"forged"}\r\n';
    const headers = { "content-type": "application/json" };
    const post = (path: string, body: object) =>
      fetch(service.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    await post(`${R}/llm-tasks`, { context_id: forged, agent_slug: forged, prompt: forged });
    await post(`${R}/workers`, { name: forged, url: "http://127.0.0.1:9", os_info: forged });
    await post(`${R}/llm-tasks/claim`, { worker_id: forged });
    await fetch(`${service.url}/api/runtime/${encodeURIComponent(forged)}`);
    await sendBytes(
      service.url,
      `GET ${R}/health?${forged.replaceAll(/[\r\n]/g, "")} HTTP/1.1\r\nHost: x\r\nX-Request-Id: \u001b[2J\r\nConnection: close\r\n\r\n`,
    );
    expect(await service.stop()).toBe(0);
    const lines = service.output().trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) expect(JSON.parse(line).msg).not.toBe("forged");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    expect(service.output()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe("the memory layers", () => {
  it("are no call's target: no field or query of the API names a path, a repository or a database", async () => {
    const target = {
      path: "/data/claude-mem.db",
      repo: "git@host:diffmem.git",
      database: "claude-mem.db",
      bucket: "other",
      key: "claude-mem.db",
    };
    const { body } = await api
      .post(`${R}/llm-tasks`)
      .send({ ...task, ...target })
      .expect(201);
    const { lease } =
      (await api
        .post(`${R}/workers`)
        .send({ name: "w", ...target })
        .expect(201)) &&
      (
        await api
          .post(`${R}/llm-tasks/${body.id}/lease`)
          .send({ worker_id: "w", ...target })
          .expect(201)
      ).body;
    const completion = { status: "success", output: "o", metrics: { duration_ms: 1 }, lease_id: lease.id, ...target };
    const { artifact } = (await api.post(`${R}/llm-tasks/${body.id}/complete`).send(completion).expect(200)).body;
    expect(artifact).toMatchObject({ url: null, content: "o", entity_refs: [] });
    const stored = await query(
      `select t::text || a::text as row from llm_tasks t join runtime_artifacts a on a.task_id = t.id where t.id = $1`,
      [body.id],
    );
    expect(JSON.stringify(stored)).not.toMatch(/claude-mem|diffmem/);
  });
});
