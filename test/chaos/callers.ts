/** Simulated clients and workers. Each writes down what it was answered, for the checker. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Lease, Task } from "../../src/contract/record-types.ts";
import { OWN, TIMEOUT_SEC } from "./own-workers.ts";
import type { Random } from "./random.ts";

/** What the service has acknowledged. */
export interface Journal {
  created: { id: string; key: string; prompt: string }[];
  completed: { taskId: string; leaseId: string; status: "success" | "error"; output: string }[];
  /** Tasks whose cancellation was acknowledged. */
  cancelled: Set<string>;
  /** What agents were told to execute, and what they refused. */
  dispatched: number;
  refused: number;
  /** Answers that no call is ever to get. */
  wrong: string[];
  calls: number;
  unanswered: number;
}

export const emptyJournal = (): Journal => ({
  created: [],
  completed: [],
  cancelled: new Set(),
  dispatched: 0,
  refused: 0,
  wrong: [],
  calls: 0,
  unanswered: 0,
});

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: bodies are read by field, and a wrong one shows up as a violation.
  body: any;
}

const CALL_WITHIN_MS = 15_000;
const TTL_SECONDS = 2;
/** Of the simulated workers alone: what requires it may be leased by hand, since nobody would tell a node agent of it. */
export const BY_HAND = "by hand";

/** Calls one of the instances. Undefined is no answer, or one that asks to try again: it may have been done or not. */
export function callerOf(urls: string[], random: Random, journal: Journal) {
  return async (method: string, path: string, body?: object, headers: Record<string, string> = {}) => {
    journal.calls += 1;
    try {
      const response = await fetch(`${random.pick(urls)}/api/runtime${path}`, {
        method,
        headers: { "content-type": "application/json", ...headers },
        signal: AbortSignal.timeout(CALL_WITHIN_MS),
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const answer: Answer = { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
      const hasNoWorker = answer.status === 503 && String(answer.body?.error).startsWith("No available worker");
      const isOut = [503, 507].includes(answer.status) && !hasNoWorker;
      const isRefused = answer.status === 502 && answer.body?.dispatched === false;
      if (answer.status >= 500 && !hasNoWorker && !isOut && !isRefused)
        journal.wrong.push(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      if (!isOut) return answer;
    } catch {
      // Cut, refused, too late, or the text of a proxy: all of them mean that nobody knows.
    }
    journal.unanswered += 1;
    return undefined;
  };
}

export type Call = ReturnType<typeof callerOf>;

/** Repeats a call that is safe to repeat until it is answered. */
export async function untilAnswered(call: () => ReturnType<Call>): Promise<Answer> {
  for (;;) {
    const answer = await call();
    if (answer) return answer;
    await delay(100);
  }
}

/** A request for a new task, under a key of its own. Few of them are alike in what the queue does with them. */
function drawRequest(random: Random) {
  const idempotency_key = randomUUID();
  return {
    context_id: `context ${random.between(0, 5)}`,
    agent_slug: "chaos",
    prompt: `Prompt ${idempotency_key}`,
    policy: { timeout_sec: TIMEOUT_SEC, budget: 0 },
    max_attempts: 5,
    requires: random.chance(0.1) ? [OWN] : random.chance(0.5) ? [BY_HAND] : [],
    idempotency_key,
    ...(random.chance(0.3) && { priority: random.between(-100, 100) }),
    ...(random.chance(0.1) && { concurrency_key: `key ${random.between(0, 4)}` }),
    ...(random.chance(0.1) && { queue_ttl_sec: random.between(1, 30) }),
    ...(random.chance(0.1) && { allow_fallback: false }),
    ...(random.chance(0.1) && { prefers: [BY_HAND] }),
  };
}

/** Creates a task. Now and then it waits a second for the task's end. */
export async function createOne(call: Call, random: Random, journal: Journal): Promise<void> {
  const request = drawRequest(random);
  const headers: Record<string, string> = random.chance(0.1) ? { prefer: "wait=1" } : {};
  const { status, body } = await untilAnswered(() => call("POST", "/llm-tasks", request, headers));
  const { id } = body?.task ?? body ?? {};
  if ([200, 201, 202].includes(status)) noteCreated(journal, id, request);
  else journal.wrong.push(`a create was answered ${status}: ${JSON.stringify(body)}`);
}

/** Creates several in one call, and sends those again that the database could not take. */
export async function createSome(call: Call, random: Random, journal: Journal): Promise<void> {
  let tasks = Array.from({ length: random.between(2, 8) }, () => drawRequest(random));
  while (tasks.length > 0) {
    const { status, body } = await untilAnswered(() => call("POST", "/llm-tasks/bulk", { tasks }));
    const results: { code: number; id: string | null }[] = status === 200 ? body.results : [];
    const again: typeof tasks = [];
    for (const [n, task] of tasks.entries()) {
      const { code = status, id } = results[n] ?? {};
      if (id) noteCreated(journal, id, task);
      else if (status === 200 && [503, 507].includes(code)) again.push(task);
      else journal.wrong.push(`a task of a bulk was answered ${code}: ${JSON.stringify(results[n])}`);
    }
    tasks = again;
  }
}

/** Creates one from an old one. */
export async function replayOne(call: Call, random: Random, journal: Journal): Promise<void> {
  if (journal.created.length === 0) return;
  const { id: old, prompt } = random.pick(journal.created);
  const idempotency_key = randomUUID();
  const headers = { "idempotency-key": idempotency_key };
  const { status, body } = await untilAnswered(() => call("POST", `/llm-tasks/${old}/replay`, {}, headers));
  if (status === 200 || status === 201) noteCreated(journal, body.id, { idempotency_key, prompt });
  else journal.wrong.push(`a replay was answered ${status}: ${JSON.stringify(body)}`);
}

function noteCreated(journal: Journal, id: string, task: { idempotency_key: string; prompt: string }): void {
  journal.created.push({ id, key: task.idempotency_key, prompt: task.prompt });
}

/** Puts a failed or dead task back, as a person would who looks at the list. */
export async function requeueSome(call: Call, random: Random): Promise<void> {
  const failed = await call("GET", `/llm-tasks?status=${random.pick(["failed", "dead"])}`);
  // An answer with an error has no list; it is in the journal where it is wrong.
  for (const task of failed?.status === 200 ? failed.body.slice(0, 5) : [])
    await call("POST", `/llm-tasks/${task.id}/requeue`);
}

/** Cancels one that is queued or held, as a person would who has changed their mind. */
export async function cancelOne(call: Call, random: Random, journal: Journal): Promise<void> {
  const tasks = await call("GET", `/llm-tasks?status=${random.pick(["queued", "leased", "running"])}`);
  const task = tasks?.body?.[0];
  const answer = task && (await call("POST", `/llm-tasks/${task.id}/cancel`, { reason: "chaos" }));
  if (answer?.status === 200) journal.cancelled.add(task.id);
}

/** A worker that executes what it is handed, and that can crash and freeze. */
export class Worker {
  readonly name: string;
  readonly cap: number;
  private readonly call: Call;
  private readonly random: Random;
  private readonly journal: Journal;
  private life = 0;
  private frozen: Promise<unknown> = Promise.resolve();
  private readonly labels: string[];
  private readonly doing = new Set<Promise<void>>();

  constructor(name: string, cap: number, call: Call, random: Random, journal: Journal, labels = [BY_HAND]) {
    this.name = name;
    this.cap = cap;
    this.call = call;
    this.random = random;
    this.journal = journal;
    this.labels = labels;
  }

  /** Asks for as much as it has room for, and waits a moment for it. */
  async claim(reliable: boolean): Promise<void> {
    await this.frozen;
    const max_tasks = this.cap - this.doing.size;
    if (max_tasks <= 0) return;
    const life = this.life;
    const asked = { worker_id: this.name, max_tasks, wait_seconds: reliable ? 0 : 1, ttl_seconds: TTL_SECONDS };
    const answer = await this.call("POST", "/llm-tasks/claim", asked);
    if (answer?.status === 200 && this.life === life)
      for (const { task, lease } of answer.body.tasks) this.take(task, lease, reliable);
  }

  /** Tells the service of this life. */
  async register(): Promise<void> {
    const capabilities = { max_concurrency: this.cap, labels: this.labels };
    const boot_id = `${this.name} life ${this.life}`;
    // Two of three share an account.
    const account = Number(this.name.at(-1)) % 3 === 0 ? "own" : "shared";
    await untilAnswered(() => this.call("POST", "/workers", { name: this.name, account, capabilities, boot_id }));
  }

  /** Drops everything that it is doing, and begins another life. */
  async crash(): Promise<void> {
    this.life += 1;
    await this.register();
  }

  /** Does nothing for so long, and then goes on as if nothing had been. */
  freeze(ms: number): void {
    this.frozen = delay(ms);
  }

  take(task: Task, lease: Lease, reliable: boolean): void {
    const doing = this.execute(task, lease, reliable).finally(() => this.doing.delete(doing));
    this.doing.add(doing);
  }

  async finish(): Promise<void> {
    await Promise.all(this.doing);
  }

  private async execute(task: Task, lease: Lease, reliable: boolean): Promise<void> {
    const { life, random } = this;
    const path = `/llm-tasks/${task.id}`;
    const fence = { "x-lease-id": lease.id };
    const crashed = async () => {
      await this.frozen;
      return this.life !== life;
    };
    if (!reliable && random.chance(0.05)) {
      await this.call("POST", `${path}/release`, { reason: "chaos" }, fence);
      return;
    }
    for (let beat = random.between(0, 4); beat >= 0; beat--) {
      if (await crashed()) return;
      const heard = await this.call("POST", `${path}/heartbeat`, undefined, fence);
      // Told that the lease is lost, most workers stop; some finish what they have paid for.
      if (heard?.status === 409 && random.chance(0.7)) return;
      await delay(random.between(50, reliable ? 100 : 600));
    }
    if (await crashed()) return;
    const status = !reliable && random.chance(0.1) ? "error" : "success";
    const output = `${this.name} in life ${life} on ${task.id} under ${lease.id}`;
    const isLimit = status === "error" && random.chance(0.5);
    const limit = { error_kind: "rate_limited", retry_after_ms: random.between(0, 3_000) };
    const result = { status, output, metrics: { duration_ms: 1 }, ...(isLimit && limit) } as const;
    for (;;) {
      const answer = await this.call("POST", `${path}/complete`, result, fence);
      if (await crashed()) return;
      if (answer?.status === 200) this.journal.completed.push({ taskId: task.id, leaseId: lease.id, status, output });
      else if (answer && answer.status !== 409)
        this.journal.wrong.push(`a completion was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      if (answer) return;
      await delay(100);
    }
  }
}

/** Leases what is queued to whom the service chooses, and hands it over. */
export async function handOut(call: Call, workers: Worker[], random: Random, reliable: boolean): Promise<number> {
  const queued = await call("GET", "/llm-tasks?status=queued");
  const tasks = ((queued?.body ?? []) as Task[]).filter(({ requires }) => requires.includes(BY_HAND));
  for (const task of tasks.slice(-10)) {
    const answer = await call("POST", `/llm-tasks/${task.id}/lease`, { ttl_seconds: reliable ? 30 : TTL_SECONDS });
    if (answer?.status === 503) break;
    if (answer?.status !== 201) continue;
    // Now and then the answer never reaches the worker.
    if (!reliable && random.chance(0.03)) continue;
    workers.find(({ name }) => name === answer.body.lease.worker_id)?.take(task, answer.body.lease, reliable);
  }
  return queued ? tasks.length : Number.POSITIVE_INFINITY;
}
