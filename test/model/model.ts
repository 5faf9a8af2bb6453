/**
 * The life of a task by api.md and lifecycle.md, without a database: which answers a call may get in which state, and what it leaves
 * behind. Tasks and leases go by the name of the step that made them, so that a model can be built before the service gives its ids.
 */

type TaskStatus = "queued" | "leased" | "running" | "completed" | "failed" | "dead" | "cancelled";
type LeaseStatus = "active" | "expired" | "released";

/** What a creation asks for. */
export interface Asked {
  prompt: string;
  max: number;
  priority: number;
  concurrencyKey: string | null;
  /** It ends when nobody has started it in time. */
  hasTtl: boolean;
  allowFallback: boolean;
}

interface Task {
  /** The batch of steps in which it was created. Those of one batch may be in any order. */
  batch: number;
  status: TaskStatus;
  attempts: number;
  asked: Asked;
  key: string | null;
  lease: string | null;
  worker: string | null;
  /**
   * The worker of its last attempt that came to nothing: the router takes another one where it can. Without `allowFallback`, the worker
   * that it is kept to.
   */
  tried: string | null;
  /** It has waited for longer than it may without a start. */
  isTooOld: boolean;
  /** It is to end as cancelled. */
  cancel: boolean;
}

interface Lease {
  task: string;
  worker: string;
  status: LeaseStatus;
  overdue: boolean;
  /** What was handed in under it, and whether that is the task's outcome. */
  result: { body: string; accepted: boolean; isError: boolean } | null;
}

export interface Model {
  tasks: Record<string, Task>;
  leases: Record<string, Lease>;
  workers: Record<string, Worker>;
  /** The accounts that are at their limit. */
  limited: string[];
  /** How many batches of steps there were. */
  batch: number;
}

/** Two of the workers share an account. */
export const accountOf = (worker: string) => (worker === "orange" ? "orange" : "shared");
export type Ending = "success" | "error" | "limited";

interface Worker {
  cap: number;
  boot: string;
  /** How many tasks in a row it has failed, and how often in a row it had to rest for that. */
  failures: number;
  rests: number;
  isResting: boolean;
  hasSucceeded: boolean;
}

export type Step =
  | { kind: "register"; worker: string; cap: number; boot: string }
  | { kind: "remove"; worker: string }
  | { kind: "create"; asked: Asked; key: string | null }
  | { kind: "replay"; task: string }
  | { kind: "claim"; worker: string; most: number }
  | { kind: "lease"; task: string; worker: string | null }
  | { kind: "heartbeat"; task: string; fence: string | null }
  | { kind: "complete"; task: string; fence: string | null; status: Ending; output: string }
  | { kind: "release"; task: string; fence: string }
  | { kind: "requeue"; task: string }
  | { kind: "cancel"; task: string }
  | { kind: "age"; task: string }
  | { kind: "wake"; worker: string }
  | { kind: "sweep" };

/** What came back: the HTTP status, and by name which task was answered or which worker was chosen. */
export interface Answer {
  status: number;
  task?: string | undefined;
  worker?: string | undefined;
  /** The tasks that a claim got. */
  tasks?: string[] | undefined;
}

/** The name of the lease on the nth task that a claim got. */
export const claimedLease = (claim: string, n: number) => `${claim}/${n}`;

export const nothing = (): Model => ({ tasks: {}, leases: {}, workers: {}, limited: [], batch: 0 });

/**
 * The states that `before` may turn into when `step`, named `name`, is answered with `answer`; none when that answer is wrong.
 * `amid` are the tasks that other steps work on at the same moment: a sweep may leave those to the next one.
 */
export function outcomes(before: Model, name: string, step: Step, answer: Answer, amid: Set<string> | null): Model[] {
  const model = structuredClone(before);
  const is = (status: number, change?: () => void): Model[] => {
    if (answer.status !== status) return [];
    change?.();
    return [model];
  };
  const taskOf = (id: string) => model.tasks[id];

  if (step.kind === "register") {
    const known = model.workers[step.worker];
    return is(known ? 200 : 201, () => {
      if (known?.boot && step.boot && known.boot !== step.boot) expire(model, activeOf(model, step.worker));
      const fresh = { failures: 0, rests: 0, isResting: false, hasSucceeded: false };
      model.workers[step.worker] = { ...fresh, ...known, cap: step.cap, boot: step.boot || (known?.boot ?? "") };
    });
  }
  if (step.kind === "remove") {
    if (!model.workers[step.worker]) return is(404);
    return is(200, () => {
      expire(model, activeOf(model, step.worker));
      delete model.workers[step.worker];
    });
  }
  if (step.kind === "create") {
    const { asked, key } = step;
    const made = Object.entries(model.tasks).find(([, task]) => key !== null && task.key === key);
    if (made) {
      const same = JSON.stringify(made[1].asked) === JSON.stringify(asked);
      return same && answer.task !== made[0] ? [] : is(same ? 200 : 409);
    }
    return is(201, () => {
      model.tasks[name] = newTask(model, asked, key);
    });
  }
  if (step.kind === "claim") return claims(model, name, step, answer, amid !== null);
  if (step.kind === "wake") {
    const worker = model.workers[step.worker];
    if (worker) worker.isResting = false;
    model.limited = model.limited.filter((account) => account !== accountOf(step.worker));
    return [model];
  }
  if (step.kind === "sweep") return sweeps(model, amid);

  const task = taskOf(step.task);
  if (!task) return is(404);
  const lease = task.lease === null ? undefined : model.leases[task.lease];
  const isHeld = task.status === "leased" || task.status === "running";

  switch (step.kind) {
    case "replay":
      return is(201, () => {
        model.tasks[name] = newTask(model, task.asked, null);
      });
    case "lease": {
      if (task.status !== "queued" || !isKeyFree(model, task)) return is(409);
      // The look for workers and the lease are two moments; in between, others may take the task or the last place.
      if (amid && step.worker === null && answer.status === 503) return [model];
      const choice = step.worker === null ? choices(model, task, amid !== null) : [step.worker];
      const eligible = choice.filter((worker) => isAwake(model, worker));
      if (eligible.length === 0) return is(503);
      const worker = answer.worker ?? "";
      if (answer.status === 201 && !eligible.includes(worker)) return [];
      return is(201, () => {
        model.leases[name] = { task: step.task, worker, status: "active", overdue: false, result: null };
        Object.assign(task, { status: "leased", attempts: task.attempts + 1, lease: name, worker });
      });
    }
    case "heartbeat": {
      if (step.fence !== null && step.fence !== task.lease) return is(409);
      if (lease?.status !== "active") return is(step.fence === null ? 404 : 409);
      return is(200, () => {
        lease.overdue = false;
        task.status = "running";
      });
    }
    case "complete": {
      const { fence, status, output } = step;
      const under = fence === null ? lease : model.leases[fence];
      const body = `${status}: ${output}`;
      if (fence === null ? !isHeld : under?.task !== step.task) return is(409);
      if (!under) return is(409);
      if (fence !== null && under.result) return is(under.result.body === body && under.result.accepted ? 200 : 409);
      const isLate = fence !== null && !(isHeld && fence === task.lease);
      if (isLate && (under.status !== "expired" || status !== "success")) return is(409);
      const accepted = !isLate || task.status === "queued";
      const noted = is(accepted ? 200 : 409, () => {
        const isError = status === "error";
        under.result = { body, accepted, isError };
        if (!accepted) return;
        if (!isLate) under.status = "released";
        if (status === "limited") {
          model.limited = [...new Set([...model.limited, accountOf(under.worker)])];
          if (!task.cancel) return giveBack(task, under.worker);
        }
        Object.assign(task, {
          status: task.cancel ? "cancelled" : status === "success" ? "completed" : "failed",
          lease: fence ?? task.lease,
          worker: under.worker,
        });
      });
      // What is known of the worker is taken down after the completion: others may come between the two.
      return noted.flatMap((state) => [note(state, under, status), ...(amid ? [state] : [])]);
    }
    case "release": {
      if (step.fence !== task.lease || task.status !== "leased" || !lease) return is(409);
      return is(200, () => {
        lease.status = "released";
        const status = task.cancel ? "cancelled" : "queued";
        Object.assign(task, { status, attempts: task.attempts - 1, lease: null, worker: null });
      });
    }
    case "requeue": {
      if (task.status !== "failed" && task.status !== "dead") return is(409);
      return is(200, () =>
        Object.assign(task, {
          status: "queued",
          attempts: 0,
          lease: null,
          worker: null,
          tried: task.asked.allowFallback ? null : (task.tried ?? task.worker),
          isTooOld: false,
        }),
      );
    }
    case "cancel": {
      if (task.status === "cancelled" || task.cancel) return is(200);
      if (task.status === "queued") return is(200, () => Object.assign(task, { status: "cancelled" }));
      return isHeld ? is(200, () => Object.assign(task, { cancel: true })) : is(409);
    }
    case "age":
      if (lease?.status === "active") lease.overdue = true;
      task.isTooOld = task.asked.hasTtl;
      return [model];
  }
}

/** A limit is no fault of the task: it is queued again, for other accounts, and its attempt does not count. */
function giveBack(task: Task, worker: string): void {
  const tried = triedBy(task, worker);
  Object.assign(task, { status: "queued", attempts: task.attempts - 1, lease: null, worker: null, tried });
}

/** A task without `allowFallback` stays with the worker that had it first. */
const triedBy = ({ asked, tried }: Task, worker: string) => (asked.allowFallback ? worker : (tried ?? worker));
const isKeptFrom = ({ asked, tried }: Task, worker: string) =>
  !asked.allowFallback && tried !== null && tried !== worker;

const newTask = ({ batch }: Model, asked: Asked, key: string | null): Task => ({
  batch,
  status: "queued",
  attempts: 0,
  asked,
  key,
  lease: null,
  worker: null,
  tried: null,
  isTooOld: false,
  cancel: false,
});

const holds = ({ status }: Task) => status === "leased" || status === "running";

function isKeyFree({ tasks }: Model, { asked: { concurrencyKey } }: Task): boolean {
  return (
    concurrencyKey === null ||
    !Object.values(tasks).some((other) => other.asked.concurrencyKey === concurrencyKey && holds(other))
  );
}

/**
 * A claim gets the first tasks of the queue that its worker may have, of each concurrency key one; others that claim or lease meanwhile may
 * leave it fewer.
 */
function claims(
  model: Model,
  name: string,
  { worker, most }: { worker: string; most: number },
  { status, tasks: got = [] }: Answer,
  isAmid: boolean,
): Model[] {
  const known = model.workers[worker];
  if (!known) return status === 404 ? [model] : [];
  if (!isAwake(model, worker)) return status === 409 ? [model] : [];
  const room = Math.max(0, Math.min(most, known.cap - activeOf(model, worker).length));
  const queue = Object.entries(model.tasks)
    .filter(([, task]) => task.status === "queued" && isKeyFree(model, task) && !isKeptFrom(task, worker))
    .sort(([, a], [, b]) => compareTurns(a, b));
  const due = queue.filter(([, task], at) => !queue.slice(0, at).some(([, earlier]) => haveSameKey(earlier, task)));
  const taken = got.flatMap((id) => queue.filter(([queued]) => queued === id));
  if (
    taken.length < got.length ||
    got.length > room ||
    taken.some(([, task]) => taken.filter(([, other]) => haveSameKey(other, task)).length > 1)
  )
    return [];
  const isInTurn = due.slice(0, room).every(([, task], at) => {
    const there = taken[at]?.[1];
    return there !== undefined && compareTurns(there, task) === 0;
  });
  if (!isAmid && !isInTurn) return [];
  if (status !== (got.length > 0 ? 200 : 204)) return [];
  for (const [n, id] of got.entries()) {
    const lease = claimedLease(name, n);
    model.leases[lease] = { task: id, worker, status: "active", overdue: false, result: null };
    const task = model.tasks[id];
    if (task) Object.assign(task, { status: "leased", attempts: task.attempts + 1, lease, worker });
  }
  return [model];
}

const compareTurns = (a: Task, b: Task) => b.asked.priority - a.asked.priority || a.batch - b.batch;
const haveSameKey = (a: Task, b: Task) =>
  a.asked.concurrencyKey !== null && a.asked.concurrencyKey === b.asked.concurrencyKey;

const isAwake = ({ workers, limited }: Model, worker: string) =>
  workers[worker]?.isResting === false && !limited.includes(accountOf(worker));

/** Rows of lifecycle.md's invariants that `model` breaks; it must break none, or the model itself is wrong. */
export function broken(model: Model): string[] {
  const faults: string[] = [];
  const heldKeys = Object.values(model.tasks).flatMap((task) => (holds(task) ? (task.asked.concurrencyKey ?? []) : []));
  if (new Set(heldKeys).size < heldKeys.length) faults.push(`of ${heldKeys.join(", ")} two tasks are held`);
  for (const [id, lease] of Object.entries(model.leases)) {
    const task = model.tasks[lease.task];
    if ((lease.status === "active") !== (task?.lease === id && holds(task)))
      faults.push(`lease ${id} is ${lease.status}, its task is ${task?.status}`);
  }
  return faults;
}

function activeOf(model: Model, worker: string): string[] {
  return Object.keys(model.leases).filter(
    (id) => model.leases[id]?.worker === worker && model.leases[id]?.status === "active",
  );
}

function expire(model: Model, ids: string[]): void {
  for (const id of ids) {
    const lease = model.leases[id];
    const task = lease && model.tasks[lease.task];
    if (!task) continue;
    lease.status = "expired";
    if (task.cancel) task.status = "cancelled";
    else if (task.attempts < task.asked.max)
      Object.assign(task, { status: "queued", lease: null, worker: null, tried: triedBy(task, lease.worker) });
    else task.status = "dead";
  }
}

/** What the service takes down of a worker when it has handed in a result (fleet/quick-failures.ts): every failure here is a fast one. */
function note(before: Model, lease: Lease, status: Ending): Model {
  const model = structuredClone(before);
  const worker = model.workers[lease.worker];
  if (!worker || status === "limited") return model;
  if (status === "success") {
    Object.assign(worker, { failures: 0, rests: 0, hasSucceeded: true });
    return model;
  }
  const earlier = Object.values(model.leases).filter(({ task, result }) => task === lease.task && result?.isError);
  const elsewhere = earlier.some((other) => other.worker !== lease.worker);
  const here = earlier.filter((other) => other.worker === lease.worker).length > 1;
  if (worker.isResting || elsewhere || (worker.rests === 0 && here)) return model;
  const others = Object.values(model.workers).filter((other) => other !== worker);
  worker.failures += 1;
  if (worker.failures < 3 && worker.rests === 0) return model;
  if (!others.some(({ hasSucceeded, failures }) => hasSucceeded && failures === 0)) return model;
  Object.assign(worker, { rests: worker.rests + 1, isResting: true });
  return model;
}

/**
 * Every lease that is overdue ends, and every task that nobody started in time; one that is being worked on may be left alone, hence
 * several outcomes.
 */
function sweeps(model: Model, amid: Set<string> | null): Model[] {
  const overdue = Object.entries(model.leases).filter(([, lease]) => lease.status === "active" && lease.overdue);
  let states = [model];
  for (const [id, lease] of overdue) {
    const swept = states.map((state) => {
      const next = structuredClone(state);
      expire(next, [id]);
      return next;
    });
    states = amid?.has(lease.task) ? [...states, ...swept] : swept;
  }
  for (const [id, task] of Object.entries(model.tasks)) {
    if (!task.isTooOld || task.status !== "queued" || task.attempts > 0 || task.tried !== null) continue;
    const ended = states.map((state) => {
      const next = structuredClone(state);
      Object.assign(next.tasks[id] ?? {}, { status: "dead" });
      return next;
    });
    states = amid?.has(id) ? [...states, ...ended] : ended;
  }
  return states;
}

/**
 * Workers with room; when nobody interferes, only the best: one that did not try the task last, then one that already holds a lease (all
 * tasks share a context, so it is warm), then most free slots.
 */
function choices(model: Model, task: Task, anyWithRoom: boolean): string[] {
  const rated = Object.entries(model.workers)
    .filter(([id]) => isAwake(model, id) && !isKeptFrom(task, id))
    .map(([id, { cap }]) => ({ id, held: activeOf(model, id).length, free: cap - activeOf(model, id).length }))
    .filter(({ free }) => free > 0);
  if (anyWithRoom) return rated.map(({ id }) => id);
  const others = rated.filter(({ id }) => id !== task.tried);
  const first = others.length > 0 ? others : rated;
  const warm = first.filter(({ held }) => held > 0);
  const pool = warm.length > 0 ? warm : first;
  const most = Math.max(...pool.map(({ free }) => free));
  return pool.filter(({ free }) => free === most).map(({ id }) => id);
}
