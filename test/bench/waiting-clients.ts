/** Those who wait at the service: workers whose claims are open, and listeners of events. */
import { createConnection, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "./load.ts";

const WAIT_SECONDS = 25;
/** How many open their connection at once: those that have not shown a key yet are bounded. */
const AT_ONCE = 20;
const PAUSE_MS = 50;

/** When a waiting worker was handed a task, by the clock of `performance.now()`, and under which lease. */
export interface Handed {
  at: number;
  leaseId: string;
}

/** Has `count` workers `w-0`, `w-1`, … wait for tasks of the agent `agent-<number % kinds>`, again and again. */
export function openWaitingWorkers(base: string, key: string, count: number, kinds: number) {
  const handed = new Map<string, Handed>();
  const lost: unknown[] = [];
  const callers = Array.from({ length: count }, () => undefined as ReturnType<typeof connect> | undefined);
  let isOver = false;
  async function wait(n: number): Promise<void> {
    const caller = connect(base, key, new Map());
    callers[n] = caller;
    const body = { worker_id: `w-${n}`, wait_seconds: WAIT_SECONDS, agent_slugs: [`agent-${n % kinds}`] };
    while (!isOver) {
      const answer = await caller.call("claim", "POST", "/api/runtime/llm-tasks/claim", body);
      const [given] = answer ? JSON.parse(answer).tasks : [];
      if (given) handed.set(given.task.id, { at: performance.now(), leaseId: given.lease.id });
    }
  }
  return {
    handed,
    /** Why workers have stopped to wait, which none should. */
    lost,
    opened: gradually(count, (n) => void wait(n).catch((error: unknown) => isOver || lost.push(error))),
    async close() {
      isOver = true;
      await Promise.all(callers.map((caller) => caller?.close()));
    },
  };
}

/** Has `count` listeners follow the events of tasks that are created. */
export function openListeners(base: string, key: string, count: number) {
  const { hostname, port, host } = new URL(base);
  const request = `GET /api/runtime/events?types=task.created HTTP/1.1\r\nhost: ${host}\r\nx-runtime-api-key: ${key}\r\naccept: text/event-stream\r\n\r\n`;
  const sockets: Socket[] = [];
  const told = new Map<string, number>();
  let open = 0;
  function listen(): void {
    const socket = createConnection(Number(port), hostname);
    let text = "";
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", () => {
      open += 1;
    });
    socket.on("data", (piece: Buffer) => {
      const blocks = (text + piece.toString("latin1")).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const id = /"task_id":"([^"]+)"/.exec(block)?.[1];
        if (id !== undefined) told.set(id, (told.get(id) ?? 0) + 1);
      }
    });
    socket.write(request);
  }
  return {
    /** How many were told that the task was created. */
    told: (taskId: string) => told.get(taskId) ?? 0,
    /** How many have an answer that has begun. */
    open: () => open,
    opened: gradually(count, listen),
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Does it for each number below `count`, some at a time. */
async function gradually(count: number, begin: (n: number) => void): Promise<void> {
  for (let n = 0; n < count; n++) {
    begin(n);
    if (n % AT_ONCE === AT_ONCE - 1) await delay(PAUSE_MS);
  }
}
