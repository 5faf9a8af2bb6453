/** Answers of agents and of Membridge that are legal and would cost far more than they should. */
import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { type AnswerPlace, openLongAnswers, placeForAnswer } from "../../src/fleet/answer-place.ts";
import { executeOn } from "../../src/fleet/execute-on-agent.ts";
import { createMembridge } from "../../src/fleet/membridge.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { createMembridgeConfig } from "../../src/saved-config/membridge-config.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { ADMIN_KEY } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";
import { startScriptedAgent } from "../support/scripted-agent.ts";

const { db } = await createTestDatabase();
const outbound = createOutbound();
afterAll(() => outbound.destroy());
const keys = (count: number) => `{"ok":true,"x":{${Array.from({ length: count }, (_, n) => `"${n}":1`)}}}`;
const HOSTILE = [
  ["more levels than 100", "[".repeat(101) + "]".repeat(101), "its answer is nested deeper than 100 levels"],
  ["a list without end", `{"ok":true,"x":[${"{},".repeat(100_000)}{}]}`, "its answer has more than 100000 values"],
] as const;

async function aServerThatSays(body: string): Promise<string> {
  const { url, close } = await startScriptedAgent((_request, response) => void response.end(body));
  onTestFinished(close);
  return url;
}

describe("an agent's answer", () => {
  const execute = async (body: string, place?: AnswerPlace, signal = new AbortController().signal) => {
    const order = { task: await aTask(db), place };
    const url = await aServerThatSays(body);
    return executeOn({ outbound, agentKey: "" }, url, order, undefined, signal);
  };

  it.each([...HOSTILE, ["more keys than 10,000", keys(10_001), "its answer has more than 10000 keys"] as const])(
    "with %s is not parsed, and does not say whether the agent is at work",
    async (_what, body, why) => {
      await expect(execute(body)).rejects.toMatchObject({
        kind: "unknown",
        message: `The agent cannot be reached: ${why}`,
      });
    },
  );

  it("that is long waits for a place, which others have as long as they need it; short ones do not", async () => {
    const places = openLongAnswers();
    const long = JSON.stringify({ ok: true, output: "x".repeat(200_000) });
    const [first, second, third, fourth] = Array.from({ length: 4 }, () => placeForAnswer(places));
    await Promise.all([execute(long, first), execute(long, second)]);
    const leaving = new AbortController();
    const given = execute(long, fourth, leaving.signal);
    const waiting = execute(long, third);
    await eventually(() => expect(places.waiting()).toBe(2));
    expect((await execute('{"ok":true,"output":"short"}')).output).toBe("short");
    // A call that is given up leaves its place to the next.
    leaving.abort(new Error("given up"));
    await expect(given).rejects.toThrow("given up");
    first?.leave();
    expect((await waiting).output).toHaveLength(200_000);
    second?.leave();
    third?.leave();
    expect(places.waiting()).toBe(0);
  });

  it("of 20 MB is taken whole", async () => {
    const output = "é".repeat(10_000_000);
    expect((await execute(JSON.stringify({ ok: true, output }))).output === output).toBe(true);
  });
});

describe("Membridge's answer", () => {
  const ask = async (body: string) => {
    const url = await aServerThatSays(body);
    const membridgeConfig = createMembridgeConfig(
      db,
      createSecretBox("a secret"),
      { url, adminKey: ADMIN_KEY },
      pino({ level: "silent" }),
    );
    return createMembridge(membridgeConfig, outbound).call(["agents"]);
  };

  it.each([...HOSTILE, ["more keys than 100,000", keys(100_001), "its answer has more than 100000 keys"] as const])(
    "with %s is not parsed",
    async (_what, body, why) => {
      await expect(ask(body)).rejects.toThrow(why);
    },
  );

  it("may list 10,000 agents, and never has the admin key in it", async () => {
    const list = Array.from({ length: 10_000 }, (_, n) => ({ name: `a${n}`, url: "u", [ADMIN_KEY]: [ADMIN_KEY] }));
    expect((await ask(JSON.stringify(list))).json).toEqual(
      list.map(({ name, url }) => ({ name, url, "****": ["****"] })),
    );
  });
});
