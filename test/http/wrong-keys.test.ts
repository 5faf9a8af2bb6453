import { describe, expect, it } from "vitest";
import { createKey, revokeKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { KEY_HEADER, keyOfEachRole, MAIN_KEY } from "../support/keys.ts";

const { db, query } = await createTestDatabase();
const env = { RUNTIME_API_KEY: MAIN_KEY, MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", WRONG_KEY_LIMIT_PER_MINUTE: "0" };
const keys = await keyOfEachRole(db);

const R = "/api/runtime";

describe("wrong keys", async () => {
  const limited = await startApp(db, { env: { ...env, WRONG_KEY_LIMIT_PER_MINUTE: "3", TRUST_PROXY_HOPS: "1" } });
  const ask = (address: string, key: string) =>
    limited.api.get(`${R}/stats`).set("X-Forwarded-For", address).set(KEY_HEADER, key);

  it("block their address after three, even for a right one that it never had; not for one it had, and no other address", async () => {
    await ask("192.0.2.1", MAIN_KEY).expect(200);
    for (let n = 0; n < 3; n++) await ask("192.0.2.1", `guess ${n}`).expect(401);
    const { body } = await ask("192.0.2.1", "guess 4").expect(429).expect("Retry-After", "60");
    expect(body.error).toMatch(/^Too many wrong keys .* A key that was right from it before goes on\./);
    await ask("192.0.2.1", keys.admin).expect(429);
    await ask("192.0.2.1", MAIN_KEY).expect(200);
    await ask("192.0.2.2", keys.admin).expect(200);
  });

  it("that come at once are counted before the first is judged, and a right one's first requests are not", async () => {
    const guesses = Array.from({ length: 30 }, (_, n) => ask("192.0.2.3", `bloom_${n}`));
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([401, 401, 401, ...Array.from({ length: 27 }, () => 429)]);
    const first = await Promise.all(Array.from({ length: 10 }, () => ask("192.0.2.4", keys.admin)));
    expect(first.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200));
    for (const status of [401, 401, 401, 429]) await ask("192.0.2.4", "bloom_guess").expect(status);
    await ask("192.0.2.4", keys.admin).expect(200);
  });

  it("include one that was right before and is revoked", async () => {
    const key = await createKey(db, undefined, "leaver", "read");
    await ask("192.0.2.5", key).expect(200);
    await revokeKey(db, undefined, "leaver");
    for (const status of [401, 401, 401, 429]) await ask("192.0.2.5", key).expect(status);
  });

  it("are none while the database cannot say which they are", async () => {
    const key = await createKey(db, undefined, "unlucky", "read");
    await query("alter table runtime_api_keys rename to gone");
    try {
      for (let n = 0; n < 4; n++) await ask("192.0.2.6", key).expect(500);
    } finally {
      await query("alter table gone rename to runtime_api_keys");
    }
    await ask("192.0.2.6", key).expect(200);
  });

  it("of one home's IPv6 network are counted together", async () => {
    for (let n = 0; n < 3; n++) await ask(`2001:db8:1:1::${n}`, "guess").expect(401);
    await ask("2001:db8:1:1::99", "guess").expect(429);
  });

  it("are not those that were not sent", async () => {
    for (let n = 0; n < 5; n++) await limited.api.get(`${R}/stats`).set("X-Forwarded-For", "192.0.2.9").expect(401);
    await ask("192.0.2.9", MAIN_KEY).expect(200);
  });
});
