/** What is done to the service and to those around it. */
import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Agent } from "./agents.ts";
import type { Journal, Worker } from "./callers.ts";
import type { DatabaseFaults } from "./database-faults.ts";
import { sendHostileBody } from "./hostile.ts";
import type { Instance } from "./instances.ts";
import type { OwnWorker } from "./own-workers.ts";
import type { Random } from "./random.ts";

export interface Targets {
  instances: Instance[];
  workers: Worker[];
  agents: Agent[];
  ownWorkers: OwnWorker[];
  database: DatabaseFaults;
  journal: Journal;
}

interface Fault {
  name: string;
  /** How often it is drawn among the others. */
  weight: number;
  /** Resolves when it is over. */
  inject(random: Random): Promise<void>;
  /** Others may come before it is over, and only one of its kind at a time. */
  lasts?: true;
}

/** Ten minutes off, both ways, or right. */
const SKEWS_MS = [0, 600_000, -600_000];
/** What a proxy says by itself while it has nowhere to send a call to. */
const PROXY_ANSWERS: [status: number, type: string, text: string][] = [
  [404, "text/plain; charset=utf-8", "404 page not found\n"],
  [502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"],
  [403, "text/html", "<html><title>Attention Required! | Cloudflare</title></html>"],
  [200, "text/html", "<html><h1>We are back in a minute</h1></html>"],
];
const LONGEST_LOCK_MS = 30_000;

/** All of them. None lasts for more than a sixth of the run, which is `runMs` long. */
export function faultsOn(targets: Targets, runMs: number): Fault[] {
  const { instances, workers, agents, ownWorkers, database, journal } = targets;
  const mostMs = Math.min(LONGEST_LOCK_MS, runMs / 6);
  /** The first lock lasts the longest, so that every run has one such. */
  let nextLockMs = mostMs;
  return [
    fault("instance killed (-9)", 3, (dice) => restart(dice.pick(instances), "SIGKILL", dice)),
    fault("instance deployed (TERM)", 2, (dice) => restart(dice.pick(instances), "SIGTERM", dice)),
    fault("clock of an instance jumps", 3, async (dice) => dice.pick(instances).setClock(dice.pick(SKEWS_MS))),
    fault("PostgreSQL shut down at once", 2, async () => database.shutDown()),
    lasting("database that only reads", 2, (dice) => database.readOnly(dice.between(500, 4_000), dice)),
    lasting("table or rows locked", 2, (dice) => {
      const ms = nextLockMs;
      nextLockMs = dice.between(1_000, mostMs);
      return database.lock(ms, dice);
    }),
    lasting("disk of the database full", 2, (dice) => database.fillDisk(dice.between(500, 3_000))),
    fault("connections cut", 4, async (dice) => dice.pick(instances).database.cut()),
    fault("connections slow", 3, (dice) => during(dice.pick(instances), dice.between(500, 2_000), "slow")),
    fault("connections frozen", 3, (dice) => during(dice.pick(instances), dice.between(500, 3_000), "frozen")),
    lasting("proxy answers by itself", 3, (dice) =>
      dice.pick(instances).answerByProxy(answer(dice.pick(PROXY_ANSWERS)), dice.between(1_000, mostMs / 2)),
    ),
    lasting("hostile body", 4, (dice) =>
      sendHostileBody(dice.pick(instances).directUrl(), dice.between(1_000, mostMs), dice, journal),
    ),
    fault("worker crashed", 4, (dice) => dice.pick(workers).crash()),
    fault("worker frozen past its lease", 4, async (dice) => dice.pick(workers).freeze(dice.between(2_500, 5_000))),
    fault("own worker killed, not its group", 4, (dice) => dice.pick(ownWorkers).kill(dice.between(0, 2_000))),
    fault("agent killed", 3, (dice) => dice.pick(agents).kill(dice.between(500, 2_000))),
    fault("agent slow", 2, (dice) => dice.pick(agents).slow(dice.between(1_000, 3_000))),
    fault("agent without its CLI", 2, (dice) => dice.pick(agents).loseCli(dice.between(500, 2_000))),
  ];
}

const fault = (name: string, weight: number, inject: Fault["inject"]): Fault => ({ name, weight, inject });
const lasting = (name: string, weight: number, inject: Fault["inject"]): Fault => ({
  ...fault(name, weight, inject),
  lasts: true,
});

async function restart(instance: Instance, signal: NodeJS.Signals, random: Random): Promise<void> {
  const skewMs = random.pick(SKEWS_MS);
  await instance.restart(signal);
  instance.setClock(skewMs);
}

async function during({ database }: Instance, ms: number, how: "slow" | "frozen"): Promise<void> {
  if (how === "slow") database.delay(100);
  else database.freeze();
  await delay(ms);
  database.delay(0);
  database.thaw();
}

const answer =
  ([status, type, text]: [number, string, string]) =>
  (response: ServerResponse): void =>
    void response.writeHead(status, { "content-type": type }).end(text);

/**
 * Injects them until `isOver`: first each kind once, however long that takes, and then by weight. Gives how often each was. Resolves when the last
 * one is over.
 */
export async function rage(faults: Fault[], random: Random, isOver: () => boolean): Promise<Map<string, number>> {
  const injected = new Map<string, number>();
  const drawn = faults.flatMap((one) => Array<Fault>(one.weight).fill(one));
  const first = shuffled(faults, random);
  const going = new Map<string, Promise<void>>();
  while (first.length > 0 || !isOver()) {
    const { name, inject, lasts } = first.pop() ?? random.pick(drawn);
    if (!going.has(name)) {
      injected.set(name, (injected.get(name) ?? 0) + 1);
      const injecting = inject(random).finally(() => going.delete(name));
      going.set(name, injecting);
      if (!lasts) await injecting;
    }
    await delay(random.between(200, 1_200));
  }
  await Promise.all(going.values());
  return injected;
}

function shuffled<T>(all: T[], random: Random): T[] {
  return all
    .map((one) => ({ one, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}
