import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { every } from "../src/loop.ts";
import { eventually } from "./support/eventually.ts";

const quiet = { log: pino({ level: "silent" }) };

/** A pass that counts itself and ends when the test says so. */
function gatedPass() {
  let release = () => {};
  const seen = { started: 0, running: 0, most: 0 };
  const pass = async () => {
    seen.started += 1;
    seen.running += 1;
    seen.most = Math.max(seen.most, seen.running);
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    seen.running -= 1;
  };
  return { pass, seen, release: () => release() };
}

describe("a loop", () => {
  it("runs a pass at once, and the next one only when that has ended", async () => {
    const { pass, seen, release } = gatedPass();
    const loop = every(1, "test", quiet, pass);
    for (let passes = 1; passes <= 5; passes++) {
      await eventually(() => expect(seen.started).toBe(passes), { interval: 1 });
      release();
    }
    expect(seen.most).toBe(1);
    const stopped = loop.stop();
    release();
    await stopped;
  });

  it("lets a running pass end before it has stopped, and stopping twice is harmless", async () => {
    const { pass, seen, release } = gatedPass();
    const loop = every(1, "test", quiet, pass);
    const stopped = Promise.all([loop.stop(), loop.stop()]);
    expect(seen.running).toBe(1);
    release();
    await stopped;
    expect(seen).toMatchObject({ running: 0, started: 1 });
  });

  it("goes on after a pass that threw, and logs why: once for the same reason, and that it works again", async () => {
    const lines: string[] = [];
    const errors = ["the reason", "the reason", "another", undefined, "the reason"];
    const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
    let passes = 0;
    const loop = every(1, "test", { log }, async () => {
      const message = errors[passes++];
      if (message !== undefined) throw new Error(message);
    });
    await eventually(() => expect(passes).toBeGreaterThan(errors.length), { interval: 1 });
    await loop.stop();
    expect(lines.map((line) => /the reason|another|works again/.exec(line)?.[0])).toEqual([
      "the reason",
      "another",
      "works again",
      "the reason",
      "works again",
    ]);
  });

  it.each([
    ["55P03", "warn"],
    ["57014", "warn"],
    ["53100", "error"],
  ])("says in one line without a stack that the database could not: %s", async (code, level) => {
    const lines: Record<string, unknown>[] = [];
    const log = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const cause = Object.assign(new Error("canceling statement due to a limit"), { code });
    let passes = 0;
    const loop = every(1, "table statistics", { log }, async () => {
      passes += 1;
      throw new Error("Failed query: analyze", { cause });
    });
    await eventually(() => expect(passes).toBeGreaterThan(1), { interval: 1 });
    await loop.stop();
    expect(lines[0]).toEqual({
      level: pino.levels.values[level],
      loop: "table statistics",
      reason: expect.any(String),
      msg: "table statistics: the database could not do this now; it is tried again",
    });
  });

  it("does not wait for its interval to stop", async () => {
    const loop = every(3_600_000, "test", quiet, async () => {});
    await loop.stop();
  });

  it("says what a pass has changed, and nothing when that is nothing", async () => {
    const lines: Record<string, unknown>[] = [];
    const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const passes = [
      { expired: 0, dead: 0 },
      { expired: 3, requeued: 2, dead: 1, cancelled: 0 },
      { counted: ["leases", "llm_tasks"], skipped: [] },
      { sessionsForgotten: 3, accountsForgotten: 0 },
    ];
    let done = 0;
    const loop = every(1, "lease sweep", { log }, async () => passes[done++]);
    await eventually(() => expect(done).toBeGreaterThan(passes.length), { interval: 1 });
    await loop.stop();
    expect(lines).toEqual([
      expect.objectContaining({
        loop: "lease sweep",
        expired: 3,
        requeued: 2,
        dead: 1,
        durationMs: expect.any(Number),
        msg: "lease sweep: 3 expired, 2 requeued, 1 dead",
      }),
      expect.objectContaining({ counted: ["leases", "llm_tasks"], msg: "lease sweep: counted leases, llm_tasks" }),
      expect.objectContaining({ sessionsForgotten: 3, msg: "lease sweep: 3 sessions forgotten" }),
    ]);
  });
});
