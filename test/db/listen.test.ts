import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { listen } from "../../src/db/listen.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startProxy } from "../support/tcp-proxy.ts";

const { db, url, query } = await createTestDatabase();

async function aListener() {
  const address = new URL(url);
  const proxy = await startProxy(address.host);
  onTestFinished(proxy.close);
  address.host = `127.0.0.1:${proxy.port}`;
  const hear = vi.fn();
  const listener = listen(address.href, "news", pino({ level: "silent" }), hear);
  onTestFinished(listener.stop);
  return { proxy, hear, listener };
}

describe("the listener", () => {
  it("hears, listens again when its connection was cut, and hears what it may have missed", async () => {
    const { proxy, hear } = await aListener();
    await eventually(() => expect(hear).toHaveBeenCalledTimes(1));
    await query("notify news");
    await eventually(() => expect(hear).toHaveBeenCalledTimes(2));
    proxy.cut();
    await eventually(() => expect(hear).toHaveBeenCalledTimes(3));
    db.tell("news");
    await eventually(() => expect(hear).toHaveBeenCalledTimes(4));
  });

  it.each(["listens", "connects"])("stops at once when the database is frozen while it %s", async (when) => {
    const { proxy, hear, listener } = await aListener();
    if (when === "listens") await eventually(() => expect(hear).toHaveBeenCalled());
    proxy.freeze();
    const startedAt = performance.now();
    await listener.stop();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
