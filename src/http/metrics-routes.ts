import { setTimeout as delay } from "node:timers/promises";
import type { Stats } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { TASK_STATUSES } from "../db/statuses.ts";
import { messageOf } from "../errors.ts";
import { processReadings } from "../metrics/process.ts";
import { type Family, textOf } from "../metrics/prometheus-text.ts";
import { familiesOf, type Reading, type Readings } from "../metrics/registry.ts";
import { VERSION } from "../package-folder.ts";
import { type Gauges, readGauges } from "../queue/gauges.ts";
import { READERS, type Route, route } from "./route.ts";

/** The text format of Prometheus that every version of it reads. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
/** Prometheus waits for 10 s. A database that does not answer in this time counts as down, and the other numbers are still told. */
const DATABASE_WITHIN_MS = 4_000;
/**
 * How long the counts of tasks may delay the text. If counting takes longer, as where most of a million tasks are queued, this answer repeats the
 * last counts, and the next one has the new.
 */
const COUNTS_WITHIN_MS = 10;

/** What this process tells of itself. */
export const ownMetrics = ({ meters }: Db): Family[] =>
  meters.registry.families([...processReadings(), ...buildReadings()]);

/** `GET /metrics`, for Prometheus. `ofAll` gives what all processes tell of themselves, where there are several. */
export function metricsRoutes(stats: () => Promise<Stats>, ofAll?: () => Promise<Family[]>): Route[] {
  let lastStats: Stats | undefined;
  /** The counts now, or those before where counting takes long. */
  async function currentStats(): Promise<Stats> {
    const counting = stats().then((counted) => {
      lastStats = counted;
      return counted;
    });
    if (!lastStats) return counting;
    const before = lastStats;
    const late = delay(COUNTS_WITHIN_MS, before, { ref: false });
    return Promise.race([counting, late]);
  }
  async function readDatabase(db: Db): Promise<Readings[]> {
    const [gauges, counted] = await Promise.all([readGauges(db), currentStats()]);
    return [...queueReadings(gauges, counted), ...fleetReadings(gauges), ...webhookReadings(gauges)];
  }
  return [
    route({
      name: "getMetrics",
      summary: "Read the metrics",
      description:
        "For Prometheus. docs/metrics.md describes each of them, and says which are of the instance and which of the database.",
      method: "get",
      path: "/metrics",
      access: READERS,
      ownKey: "METRICS_KEY",
      isProbe: true,
      answers: {
        200: { means: "All metrics.", other: { "text/plain": "The text format of Prometheus, version 0.0.4." } },
      },
      handle: async ({ response, db }) => {
        const late = delay(DATABASE_WITHIN_MS, undefined, { ref: false }).then(() => {
          throw new Error(`the database did not answer within ${DATABASE_WITHIN_MS / 1_000} s`);
        });
        const read = await Promise.race([readDatabase(db), late]).catch((error) => {
          db.log.warn({ reason: messageOf(error) }, "the metrics are told without those of the database");
          return undefined;
        });
        const counted = ofAll ? await ofAll() : ownMetrics(db);
        const text = textOf([...counted, ...familiesOf([isUp(read !== undefined), ...(read ?? [])])]);
        response.type(CONTENT_TYPE).send(text);
      },
    }),
  ];
}

const gauge = (name: string, help: string, ...values: Reading[]): Readings => ({ name, help, values });
const byLabel = (label: string, counts: Record<string, number>): Reading[] =>
  Object.entries(counts).map(([value, count]) => ({ labels: { [label]: value }, value: count }));

const isUp = (up: boolean) =>
  gauge("bloom_database_up", "1 when the database answered for this text.", { value: Number(up) });

const buildReadings = (): Readings[] => [
  {
    name: "bloom_build_info",
    help: "The version of the service and of Node.",
    isOneFact: true,
    values: [{ labels: { version: VERSION, node: process.version }, value: 1 }],
  },
  gauge("bloom_processes", "Processes that serve on the port (INSTANCES).", { value: 1 }),
];

function queueReadings({ oldest_due_ms, overdue_leases, slots }: Gauges, { tasks, as_of }: Stats): Readings[] {
  const counts = Object.fromEntries(TASK_STATUSES.map((status) => [status, tasks.by_status[status] ?? 0]));
  return [
    gauge("bloom_tasks", "Tasks by status.", ...byLabel("status", counts)),
    gauge("bloom_tasks_counted_timestamp_seconds", "When the tasks were counted.", { value: as_of / 1_000 }),
    gauge("bloom_tasks_oldest_due_seconds", "For how long the task that is due for longest has waited.", {
      value: oldest_due_ms / 1_000,
    }),
    gauge("bloom_leases_active", "Leases that are active.", { value: slots.used }),
    gauge("bloom_leases_overdue", "Active leases that are overdue, which the next sweep ends.", {
      value: overdue_leases,
    }),
  ];
}

const webhookReadings = ({ webhooks }: Gauges) => [
  gauge("bloom_webhook_deliveries_pending", "Messages to webhooks and callbacks that wait to be sent.", {
    value: webhooks.pending,
  }),
  gauge("bloom_webhook_oldest_pending_seconds", "How long the oldest message has waited whose webhook is on.", {
    value: webhooks.oldest_ms / 1_000,
  }),
  gauge("bloom_webhooks_off", "Webhooks that are turned off.", { value: webhooks.off }),
];

function fleetReadings({ workers, drained, resting, slots, accounts }: Gauges): Readings[] {
  return [
    gauge("bloom_workers", "Workers by status.", ...byLabel("status", workers)),
    gauge("bloom_workers_drained", "Workers that an operator has drained.", { value: drained }),
    gauge("bloom_workers_resting", "Workers that rest, or whose account does.", { value: resting }),
    gauge(
      "bloom_worker_slots",
      "Slots of the workers by use; free ones are those of workers that could get a task now.",
      ...byLabel("use", slots),
    ),
    gauge("bloom_accounts", "Accounts at LLM providers that workers use.", { value: accounts.all }),
    gauge("bloom_accounts_limited", "Accounts that are at a limit and rest.", { value: accounts.limited }),
    gauge("bloom_accounts_paced", "Accounts that get one task at a time, since their allowance is nearly used.", {
      value: accounts.paced,
    }),
  ];
}
