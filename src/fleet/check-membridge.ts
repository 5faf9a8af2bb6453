import type { Caller } from "../caller.ts";
import type { ConnectionTest } from "../contract/record-types.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import type { MembridgeConfig } from "../saved-config/membridge-config.ts";
import { type Membridge, MembridgeUnreachable } from "./membridge.ts";

/** Calls that show whether Membridge takes the admin key, which its health does not need. A version may lack one of them. */
const KEYED = ["agents", "projects"];

/**
 * Asks Membridge for its health now, with one retry, and for something that needs the admin key. Records the outcome in the configuration. A success
 * is audited.
 */
export async function checkMembridge(
  db: Db,
  caller: Caller | undefined,
  membridgeConfig: MembridgeConfig,
  membridge: Membridge,
): Promise<ConnectionTest> {
  const outcome = await ask(membridge);
  const { connected } = outcome;
  const reason = outcome.connected ? null : outcome.error;
  await membridgeConfig.recordConnection(
    { connected, reason, isKeyed: membridge.keyFault() !== undefined || connected },
    { asked: true },
  );
  if (outcome.connected) {
    await audit(db, {
      action: "connection_test",
      entity_type: "runtime_config",
      entity_id: "singleton",
      actor: actorOf(caller, "admin"),
      detail: `Connection OK: ${JSON.stringify(outcome.health)}`,
    });
  }
  return outcome;
}

async function ask(membridge: Membridge): Promise<ConnectionTest> {
  try {
    const { status, json } = await membridge.call(["health"], { retries: 1, insist: true });
    if (status >= 400) return { connected: false, error: `Membridge returned ${status}` };
    for (const path of KEYED) {
      const { status: keyed } = await membridge.call([path], { retries: 0, insist: true });
      const fault = membridge.keyFault();
      if (fault !== undefined) return { connected: false, error: fault };
      if (keyed < 400) break;
      if (keyed !== 404) return { connected: false, error: `Membridge returned ${keyed} for GET /${path}` };
    }
    return { connected: true, health: json };
  } catch (error) {
    if (!(error instanceof MembridgeUnreachable)) throw error;
    return { connected: false, error: error.message };
  }
}
