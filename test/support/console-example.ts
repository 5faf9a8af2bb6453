/** A service that has been at work for two weeks: what the pages of the console show in tests, and in the screenshots of docs/console.md. */
import { type Client, type CompleteTaskArgs, type CreateTaskArgs, createClient } from "../../src/client/index.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** SQL on the side of the service; several statements in one text are one transaction. */
export type Query = (statements: string) => Promise<unknown>;

export interface Example {
  client: Client;
  /** The ids of tasks by what became of them. */
  tasks: Record<
    "completed" | "failed" | "dead" | "running" | "leased" | "stuck" | "waiting" | "later" | "cancelled",
    string
  >;
}

const REPORT = `# What the garden needs this week

The beds by the **south wall** are dry below 10 cm. Water them in the evening, twice a week.

- Tomatoes: tie up the second row.
- Beans: sow the third set before the 1st.

| Bed | Moisture | Do |
|---|---|---|
| South | 18 % | water |
| North | 41 % | leave |
`;

/** Fills the service at `url`, whose admin has `key`. `query` ages what the calls have made. */
export async function fillExample(url: string, key: string | undefined, query: Query): Promise<Example> {
  const client = createClient({ url, key: () => key });
  const example = createExample(client, query);
  await example.workers();
  const tasks = await example.tasks();
  await example.usage();
  await client.createKey({ name: "garden-seedling", role: "submit" });
  await client.createKey({ name: "dashboard", role: "read" });
  await client.drainWorker({ id: "laptop-anna", reason: "The battery is replaced", minutes: 90 });
  return { client, tasks };
}

function createExample(client: Client, query: Query) {
  /** Makes everything that belongs to the task so much older. */
  const age = (id: string, ms: number) =>
    query(`set local session_replication_role = replica;
      update llm_tasks set created_at = created_at - ${ms}, updated_at = updated_at - ${ms} where id = '${id}';
      update leases set started_at = started_at - ${ms}, last_heartbeat = last_heartbeat - case status when 'active' then 0 else ${ms} end where task_id = '${id}';
      update llm_results set completed_at = completed_at - ${ms} where task_id = '${id}';
      update runtime_artifacts set created_at = created_at - ${ms} where task_id = '${id}';
      update audit_logs set "timestamp" = "timestamp" - ${ms} where entity_id = '${id}' or detail like '%${id}%'`);

  const create = (fields: Partial<CreateTaskArgs>) =>
    client.createTask({
      context_id: "garden",
      agent_slug: "writer",
      prompt: "Write the weekly report of the garden from the notes of the sensors.",
      ...fields,
    });

  /** A task that a worker ended `agoMs` ago. */
  const end = async (
    worker_id: string,
    agoMs: number,
    fields: Partial<CreateTaskArgs>,
    ending: Partial<CompleteTaskArgs>,
  ) => {
    const { id } = await create(fields);
    await client.leaseTask({ id, worker_id });
    await client.heartbeatTask({ id });
    await client.completeTask({ id, status: "success", metrics: { duration_ms: 41_000 }, ...ending });
    await age(id, agoMs);
    return id;
  };

  async function workers(): Promise<void> {
    const register = (name: string, account: string, os_info: string, labels: string[], max_concurrency = 1) =>
      client.registerWorker({
        name,
        account,
        os_info,
        agent_version: "1.0.0",
        install_method: "script",
        capabilities: { max_concurrency, labels },
      });
    await register("rpi-garden", "claude-olena", "Debian 13, aarch64", ["linux", "arm64", "claude"], 2);
    await register("workstation", "claude-team", "Ubuntu 24.04, x86_64", ["linux", "x86_64", "claude", "gpu"], 3);
    await register("build-box", "codex-team", "Debian 12, x86_64", ["linux", "x86_64", "codex"], 2);
    await register("laptop-anna", "claude-anna", "macOS 15.2, arm64", ["darwin", "arm64", "claude"]);
    await register("vps-old", "gemini-free", "Alpine 3.20, x86_64", ["linux", "x86_64", "gemini"]);
    await query(
      `update workers set status = 'offline', last_heartbeat = last_heartbeat - ${3 * HOUR_MS} where id = 'vps-old';
      insert into audit_logs (id, "timestamp", action, entity_type, entity_id, actor, detail)
        select gen_random_uuid(), last_heartbeat + ${MINUTE_MS}, 'worker_offline', 'worker', id, 'service', '{}' from workers where id = 'vps-old'`,
    );
  }

  const used = (input_tokens: number, output_tokens: number, cost_usd: number) => ({
    duration_ms: 41_000 + output_tokens * 9,
    tokens_used: input_tokens + output_tokens,
    input_tokens,
    output_tokens,
    cost_usd,
    num_turns: 4,
    model: "claude-sonnet-4-5",
    provider: "anthropic",
  });

  async function tasks(): Promise<Example["tasks"]> {
    const now = Date.now();
    const resets = { five_hour: now + 2.2 * HOUR_MS, seven_day: now + 3.4 * DAY_MS };
    const windows = (five: number, seven: number) => ({
      five_hour: { used: five, resets_at: resets.five_hour },
      seven_day: { used: seven, resets_at: resets.seven_day },
    });
    for (const [n, topic] of ["compost", "seed swap", "irrigation", "frost", "bees", "paths", "tool shed"].entries())
      await end(
        "rpi-garden",
        (n + 1) * 7 * MINUTE_MS,
        { prompt: `Summarise the notes on ${topic}.`, agent_slug: n % 2 ? "summariser" : "writer" },
        { output: `The notes on ${topic} say three things.`, metrics: used(5_200 + n * 800, 640, 0.031) },
      );
    const completed = await end(
      "rpi-garden",
      4 * MINUTE_MS,
      { desired_format: "markdown" },
      { output: REPORT, metrics: used(12_400, 1_830, 0.064), windows: windows(0.42, 0.23) },
    );
    const failed = await end(
      "workstation",
      26 * MINUTE_MS,
      { agent_slug: "planner", desired_format: "json", prompt: "Plan the watering as JSON." },
      {
        status: "error",
        error_kind: "parse_error",
        error_message: "The output is not JSON: it begins with “Sure, here is the plan”.",
        metrics: used(3_100, 420, 0.012),
      },
    );
    const dead = await end(
      "build-box",
      95 * MINUTE_MS,
      {
        agent_slug: "coder",
        context_id: "seedling-site",
        prompt: "Fix the failing build.",
        max_attempts: 1,
        retry: { base_delay_sec: 1 },
      },
      {
        status: "error",
        error_kind: "timeout",
        error_message: "The CLI printed nothing for 120 s and was ended.",
        metrics: { duration_ms: 120_000 },
      },
    );
    const { id: cancelled } = await create({
      agent_slug: "coder",
      context_id: "seedling-site",
      prompt: "Rename the branch.",
    });
    await client.cancelTask({ id: cancelled });
    await age(cancelled, 3 * HOUR_MS);
    const { id: running } = await create({
      agent_slug: "researcher",
      prompt: "Compare five kinds of drip irrigation for clay soil.",
    });
    await client.leaseTask({ id: running, worker_id: "rpi-garden" });
    await client.heartbeatTask({ id: running, progress: { value: 0.6, text: "3 of 5 compared" } });
    await age(running, 2 * MINUTE_MS);
    const { id: leased } = await create({ agent_slug: "writer", prompt: "Translate the report into Ukrainian." });
    await client.leaseTask({ id: leased, worker_id: "workstation" });
    const { id: limited } = await create({ agent_slug: "planner", prompt: "Plan the beds for spring." });
    await client.leaseTask({ id: limited, worker_id: "workstation" });
    await client.completeTask({
      id: limited,
      status: "error",
      error_kind: "rate_limited",
      resets_at: resets.five_hour,
      error_message: "5-hour limit reached",
      windows: windows(1, 0.71),
      metrics: { duration_ms: 900 },
    });
    await age(limited, 9 * MINUTE_MS);
    const { id: waiting } = await create({
      agent_slug: "coder",
      context_id: "seedling-site",
      prompt: "Add a page for seeds.",
      requires: ["codex"],
    });
    const { id: unlucky } = await create({ agent_slug: "coder", context_id: "seedling-site", requires: ["codex"] });
    await client.leaseTask({ id: unlucky, worker_id: "build-box" });
    await client.completeTask({
      id: unlucky,
      status: "error",
      error_kind: "auth",
      error_message: "Not logged in: run codex login",
      metrics: { duration_ms: 700 },
    });
    const { id: stuck } = await create({
      agent_slug: "painter",
      prompt: "Draw a plan of the beds.",
      requires: ["gpu-h100"],
    });
    await age(stuck, 38 * MINUTE_MS);
    const { id: later } = await create({
      agent_slug: "writer",
      prompt: "Write the report for Monday.",
      not_before: now + 9 * HOUR_MS,
    });
    return { completed, failed, dead, running, leased, stuck, waiting, later, cancelled };
  }

  /** Two weeks of sums, which are kept for each day. */
  async function usage(): Promise<void> {
    const keys: Record<string, string[]> = {
      account: ["claude-olena", "claude-team", "codex-team"],
      agent_slug: ["writer", "planner", "coder"],
      context_id: ["garden", "seedling-site"],
      worker_id: ["rpi-garden", "workstation", "build-box"],
      model: ["claude-sonnet-4-5", "gpt-5-codex"],
    };
    const rows = Array.from({ length: 13 }, (_, n) => {
      const day = new Date(Date.now() - (n + 1) * DAY_MS).toISOString().slice(0, 10);
      const tokens = 380_000 + ((n * 7) % 11) * 96_000;
      const row = (dimension: string, key: string, share: number) =>
        `('${dimension}', '${day}', '${key}', ${Math.ceil(60 * share)}, ${Math.round(tokens * share)}, ${Math.round(tokens * share * 0.88)}, ${Math.round(tokens * share * 0.12)}, ${Math.round(tokens * share * 4)})`;
      const shared = Object.entries(keys).flatMap(([dimension, names]) =>
        names.map((name, at) => row(dimension, name, [0.55, 0.3, 0.15][at] ?? 0)),
      );
      return [row("day", day, 1), ...shared];
    });
    await query(
      `insert into runtime_usage (dimension, day, key, attempts, tokens, input_tokens, output_tokens, cost_microusd) values ${rows.flat().join(", ")}`,
    );
  }

  return { workers, tasks, usage };
}
