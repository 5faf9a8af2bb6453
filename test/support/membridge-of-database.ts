import { pino } from "pino";
import { afterAll } from "vitest";
import type { Db } from "../../src/db/client.ts";
import { createMembridge } from "../../src/fleet/membridge.ts";
import { syncOnce } from "../../src/fleet/membridge-sync.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { createMembridgeConfig } from "../../src/saved-config/membridge-config.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { ADMIN_KEY } from "./app.ts";
import { startMembridge } from "./scripted-membridge.ts";

/** A scripted Membridge, and the passes of a service over `db` that asks it. It ends with the test file. */
export async function membridgeOfDatabase(db: Db) {
  const fake = await startMembridge();
  afterAll(fake.close);
  const outbound = createOutbound();
  afterAll(() => outbound.destroy());
  const silent = pino({ level: "silent" });
  const membridgeConfig = createMembridgeConfig(
    db,
    createSecretBox("a secret"),
    { url: fake.url, adminKey: ADMIN_KEY },
    silent,
  );
  const membridge = createMembridge(membridgeConfig, outbound);
  return { fake, membridge, sync: () => syncOnce(db, membridge, silent) };
}
