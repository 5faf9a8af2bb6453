import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import type { Settings } from "../settings/settings.ts";
import { type Membridge, MembridgeUnreachable } from "./membridge.ts";

export type ConnectionTest = { connected: true; health: unknown } | { connected: false; error: string };

/** Asks Membridge for its health now, with one retry, and takes the outcome down in the configuration; a success is audited. */
export async function testConnection(db: Db, settings: Settings, membridge: Membridge): Promise<ConnectionTest> {
  const outcome = await askHealth(membridge);
  await settings.recordConnection(outcome.connected, { asked: true, by: db });
  if (outcome.connected) {
    await audit(db, {
      action: "connection_test",
      entity_type: "runtime_config",
      entity_id: "singleton",
      actor: "admin",
      detail: `Connection OK: ${JSON.stringify(outcome.health)}`,
    });
  }
  return outcome;
}

async function askHealth(membridge: Membridge): Promise<ConnectionTest> {
  try {
    const { status, json } = await membridge.call(["health"], { retries: 1, insist: true });
    return status < 400
      ? { connected: true, health: json }
      : { connected: false, error: `Membridge returned ${status}` };
  } catch (error) {
    if (!(error instanceof MembridgeUnreachable)) throw error;
    return { connected: false, error: error.message };
  }
}
