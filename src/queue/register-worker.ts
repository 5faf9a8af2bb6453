import { eq, sql } from "drizzle-orm";
import type { Allowed } from "../callable-addresses.ts";
import type { Caller } from "../caller.ts";
import type { WorkerWithLoad } from "../contract/record-types.ts";
import type { RegisterWorker } from "../contract/requests.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Capabilities } from "../db/json-types.ts";
import { inTransaction } from "../db/transaction.ts";
import { copyAccounts, lockAccount } from "../fleet/account-limits.ts";
import { reachableUrl, requireAllowedUrl } from "../fleet/agent-url-rules.ts";
import { OFFLINE_AFTER_MS } from "../fleet/signs-of-life.ts";
import { restOnceRegistered } from "../fleet/worker-rest.ts";
import { getWorker } from "../fleet/workers.ts";
import { endWorkerLeases } from "./end-worker-leases.ts";

export interface Registration {
  worker: WorkerWithLoad;
  /** The name was not known before. */
  isNew: boolean;
}

/** Where a registration came from, and where agents may be. */
export interface Registering {
  /** The address of the caller. A node that registers with a loopback address is called there instead. */
  from?: string | undefined;
  /** The addresses that OUTBOUND_ALLOW allows for agents. */
  allowed?: Allowed | undefined;
}

/**
 * Registers a worker under its name, or updates a known worker with what it says of itself now. A field that is not sent keeps its value for a
 * known worker, and gets its default for a new one. Registering is a sign of life. Another `boot_id` than before means that the worker has
 * restarted, and the leases of its earlier life end at once (lifecycle.md, "When is a worker online?").
 * Forbidden: the caller's key may not set this `url` (fleet/agent-url-rules.ts).
 */
export function registerWorker(
  db: Db,
  caller: Caller | undefined,
  request: RegisterWorker,
  how: Registering = {},
): Promise<Registration> {
  const { name, boot_id } = request;
  const account = request.account ?? name;
  return inTransaction(db, async (tx) => {
    const restarted = `worker ${name} has restarted, or another machine has taken its name`;
    if (boot_id === "") await lockAccount(tx, account);
    else
      await endWorkerLeases(tx, name, restarted, async () => {
        await lockAccount(tx, account);
        return lockAndCompareBoot(tx, name, boot_id);
      });
    const address = await lockAndChooseAddress(tx, caller, request, how);
    const isNew = await upsert(tx, request, address);
    // A worker that names no account keeps its account. What is known of this account is in the worker's row already.
    if (isNew || request.account !== undefined) await copyAccounts(tx, [name]);
    const worker = await getWorker(tx, name);
    const { status, capabilities } = worker;
    await audit(tx, {
      action: isNew ? "worker_registered" : "worker_updated",
      entity_type: "worker",
      entity_id: name,
      actor: actorOf(caller, "api"),
      detail: `Worker ${name} registered, status=${status}, max_concurrency=${capabilities.max_concurrency}${noteOn(request, address)}`,
    });
    return { worker, isNew };
  });
}

/**
 * True when the worker had another `boot_id` before. A worker that had none is not taken to have restarted. Where it was heard of within the last
 * minute and did not say that it stops, the log warns: that may be a second machine, such as another Raspberry Pi with the host name
 * `raspberrypi`. Locks the worker.
 */
async function lockAndCompareBoot(tx: Db, name: string, bootId: string): Promise<boolean> {
  const [known] = await tx
    .select({
      boot_id: workers.boot_id,
      status: workers.status,
      silentMs: sql<number | null>`(${nowMs} - ${workers.last_heartbeat})::float8`,
    })
    .from(workers)
    .where(eq(workers.id, name))
    .for("no key update");
  if (known === undefined || known.boot_id === "" || known.boot_id === bootId) return false;
  const { status, silentMs } = known;
  if (silentMs !== null && silentMs < OFFLINE_AFTER_MS && status !== "offline")
    tx.onCommit(() =>
      tx.log.warn(
        `worker ${name} registers anew, and was heard of ${Math.max(0, Math.round(silentMs / 1_000))} s ago: if it did not restart, another machine uses its name: start one of them with --name`,
      ),
    );
  return true;
}

/**
 * The address where the worker is called from now on; undefined leaves it as it is. Membridge's word counts more than the address that a request
 * came from. Locks the worker where the address depends on what is known of it.
 */
async function lockAndChooseAddress(
  tx: Db,
  caller: Caller | undefined,
  { name, url = "" }: RegisterWorker,
  { from, allowed }: Registering,
) {
  const reachable = url === "" ? undefined : reachableUrl(url, from);
  if (reachable === undefined) return undefined;
  const [known] = await tx
    .select({ url: workers.url, url_from: workers.url_from })
    .from(workers)
    .where(eq(workers.id, name))
    .for("no key update");
  if (reachable.url === known?.url || (reachable.isFrom && known?.url && known.url_from === "membridge"))
    return undefined;
  requireAllowedUrl(caller, reachable.url, allowed);
  return {
    url: reachable.url,
    url_from: reachable.isFrom ? ("caller" as const) : ("node" as const),
    answered_by: null,
  };
}

/** The words for the audit when the worker is called at another address than it names. */
function noteOn({ url }: RegisterWorker, address: { url: string; url_from: string } | undefined): string {
  return address?.url_from === "caller" ? `, url=${address.url} in place of ${url}` : "";
}

const DEFAULTS: Capabilities = { claude_cli: true, max_concurrency: 1, labels: [] };

async function upsert(
  tx: Db,
  { name, url: _named, capabilities, status, ip_addrs, account, ...texts }: RegisterWorker,
  address: Awaited<ReturnType<typeof lockAndChooseAddress>>,
): Promise<boolean> {
  const given = {
    ...Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== "")),
    ...(ip_addrs && { ip_addrs }),
    ...(account !== undefined && { account }),
    ...address,
    last_heartbeat: nowMs,
    self_registered: true,
  };
  const {
    claude_cli = DEFAULTS.claude_cli,
    max_concurrency = DEFAULTS.max_concurrency,
    labels = DEFAULTS.labels,
  } = capabilities ?? DEFAULTS;
  const [row] = await tx
    .insert(workers)
    .values({
      id: name,
      node_id: name,
      registered_at: nowMs,
      status: status ?? "online",
      capabilities: { claude_cli, max_concurrency, labels },
      ...given,
    })
    .onConflictDoUpdate({
      target: workers.id,
      set: {
        ...given,
        // A registration without a status at least says that the worker is there.
        status:
          status ?? sql`case when ${workers.status} in ('offline', 'unknown') then 'online' else ${workers.status} end`,
        // A worker that says that it stops has mended nothing: its rest says why it stopped.
        ...(status !== "offline" && { rest: restOnceRegistered }),
        capabilities: sql`${workers.capabilities} || ${JSON.stringify(capabilities ?? {})}::jsonb`,
      },
    })
    // In a row that was inserted, xmax is 0; in a row that was updated, it is the updating transaction.
    .returning({ isNew: sql<boolean>`xmax = 0` });
  return row?.isNew ?? false;
}
