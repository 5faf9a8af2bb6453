/** Keeps PostgreSQL running as long as the service: if it dies, it is started again at the same address. */
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import { mayBePostmaster, stopPostmaster } from "./pid-file.ts";
import {
  type Claimant,
  type OwnedPostmaster,
  STOP_WITHIN_MS,
  startOwnedPostmaster,
  waitForLock,
} from "./start-owned-postmaster.ts";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** How long the supervisor may take to shut PostgreSQL down. Without its watcher it never does. */
const PASSED_ON_WITHIN_MS = 2_000;
/** A PostgreSQL that ran for this time did not die because of its start, so that the waits begin anew. */
const STABLE_AFTER_MS = 60_000;

/**
 * Watches the postmaster `started`, and starts a new one on the same port when it is lost: at once, then after waits that double up to 30 s, and
 * without end, since a full disk or a machine short of memory may recover. Aborting `claimant.signal` ends that; resolves when PostgreSQL
 * has then shut down, or with a warning when it still does so after 32 s.
 */
export async function keepRunning(claimant: Claimant, started: OwnedPostmaster): Promise<void> {
  const { log, signal } = claimant;
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  let current = started;
  let failures = 0;
  while (!signal.aborted) {
    const ownedSince = performance.now();
    await Promise.race([current.lost, aborted]);
    if (signal.aborted) break;
    if (performance.now() - ownedSince > STABLE_AFTER_MS) failures = 0;
    const waitMs = failures === 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS);
    log.error({ waitMs, exitCode: current.postmaster.exitCode() }, "the connection to PostgreSQL is lost");
    try {
      await delay(waitMs, undefined, { signal });
      current = await ownAgain(claimant, current);
      log.info({ postgresPid: current.pid }, "PostgreSQL is up again");
    } catch (error) {
      if (!signal.aborted) log.error({ reason: messageOf(error) }, "PostgreSQL could not be started again");
    }
    failures++;
  }
  await close(claimant, current);
}

/** A postmaster survives the crash of one of its children, and only the lock has to be taken again. */
async function ownAgain(claimant: Claimant, { postmaster }: OwnedPostmaster): Promise<OwnedPostmaster> {
  const same = await waitForLock(claimant, postmaster);
  return same ?? startOwnedPostmaster(claimant, postmaster.port);
}

async function close({ installation, log }: Claimant, { postmaster, pid }: OwnedPostmaster): Promise<void> {
  await postmaster.stop(PASSED_ON_WITHIN_MS);
  let reason = "its supervisor has not ended";
  try {
    // The supervisor or its watcher was killed, or PostgreSQL needs longer, for which a second SIGINT changes nothing.
    if (await mayBePostmaster(pid, installation.cluster)) await stopPostmaster(pid, installation.cluster);
    if (await postmaster.stop(STOP_WITHIN_MS)) return;
  } catch (error) {
    reason = messageOf(error);
  }
  log.warn({ postgresPid: pid, reason }, "PostgreSQL is still shutting down");
}
