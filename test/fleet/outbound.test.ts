import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, LookupFunction } from "node:net";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { parseAllowed, refusalOf } from "../../src/callable-addresses.ts";
import { boundedFetch, type FetchAnswer } from "../../src/fleet/bounded-fetch.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { probeOnce } from "../../src/fleet/probe-agents.ts";
import { createLog } from "../../src/log.ts";
import { startApp } from "../support/app.ts";
import { collectGarbage } from "../support/collect-garbage.ts";
import { createTestDatabase } from "../support/database.ts";

const { db, query } = await createTestDatabase();
const app = await startApp(db);

const METADATA = [
  "http://169.254.169.254/latest/meta-data/",
  "http://169.254.170.2/v2/credentials",
  "http://2852039166/",
  "http://0xA9FEA9FE/",
  "http://0251.0376.0251.0376/",
  "http://[::ffff:169.254.169.254]/",
  "http://[::ffff:a9fe:a9fe]/",
  "http://[64:ff9b::a9fe:a9fe]/",
  "http://[2002:a9fe:a9fe::1]/",
  "http://[::a9fe:a9fe]/",
  "http://[::ffff:0:a9fe:a9fe]/",
  "http://[64:ff9b:1::a9fe:a9fe]/",
  "http://[64:ff9b:1:a9fe:a9:fe00::]/",
  "http://[2001:0:a9fe:a9fe::1]/",
  "http://[2001:0:4136:e378:8000:63bf:5601:5601]/",
  "http://[fd00:ec2::254]/",
  "http://[fe80::1]/",
  "http://100.100.100.200/",
  "http://168.63.129.16/",
  "http://192.0.0.192/",
  "http://metadata.google.internal/computeMetadata/v1/",
  "http://METADATA.google.internal./",
  "http://metadata/",
];
const NO_ADDRESSES = [
  "file:///etc/passwd",
  "gopher://127.0.0.1:6379/_FLUSHALL",
  "javascript:alert(1)",
  "http://user:secret@127.0.0.1/",
  "http://127.0.0.1/#fragment",
  "http://127.0.0.1/#",
  "//127.0.0.1/",
  "http://",
  "not an address",
];

describe("an address that must not be called", () => {
  it.each([...METADATA, ...NO_ADDRESSES])("%s is refused where it is given, and not stored", async (url) => {
    await app.api.post("/api/runtime/config").send({ membridge_server_url: url, admin_key: "key" }).expect(400);
    await app.api.post("/api/runtime/workers").send({ name: "rpi", url }).expect(400);
    expect(await query("select 1 from workers")).toEqual([]);
    expect(await query("select 1 from runtime_settings where key = 'membridge_server_url'")).toEqual([]);
  });
});

/** A server on 127.0.0.1 that keeps no connection open, and an address of it with this name. */
async function startTarget(name: string) {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? "");
    const isRedirect = request.url === "/redirect";
    const elsewhere = { location: "http://169.254.169.254/latest/meta-data/" };
    response.writeHead(isRedirect ? 302 : 200, { connection: "close", ...(isRedirect && elsewhere) }).end("here");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { url: `http://${name}:${(server.address() as AddressInfo).port}`, paths };
}

function ask(url: string, allow: string | undefined, addresses: string[] = []) {
  let resolved = 0;
  const resolve: LookupFunction = (_host, _options, done) => {
    const address = addresses[Math.min(resolved, addresses.length - 1)] ?? "";
    resolved += 1;
    done(null, [{ address, family: address.includes(":") ? 6 : 4 }]);
  };
  const outbound = createOutbound(allow === undefined ? undefined : parseAllowed(allow), { resolve });
  onTestFinished(() => outbound.destroy());
  return (path = "") =>
    boundedFetch(outbound, url + path, { method: "GET", headers: new Headers(), timeoutMs: 5_000, maxBytes: 1_000 });
}

const textOf = async (calling: Promise<FetchAnswer>) => Buffer.from((await calling).body).toString();

describe("a connection", () => {
  it.each(["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"])(
    "is not made to a name that means %s by now",
    async (address) => {
      await expect(ask("http://innocent.example", undefined, [address])()).rejects.toThrow("metadata service");
      await expect(ask("http://innocent.example", "innocent.example", [address])()).rejects.toThrow("metadata service");
    },
  );

  it("is not made to a name that means another address than it did before", async () => {
    const { url, paths } = await startTarget("rebinding.example");
    const call = ask(url, "127.0.0.1", ["127.0.0.1", "127.0.0.2"]);
    expect(await textOf(call())).toBe("here");
    await expect(call()).rejects.toThrow("(127.0.0.2) is not in OUTBOUND_ALLOW");
    expect(paths).toEqual(["/"]);
  });

  it("is not made to a literal address that OUTBOUND_ALLOW does not have", async () => {
    const { url, paths } = await startTarget("127.0.0.1");
    await expect(ask(url, "10.0.0.0/8")()).rejects.toThrow("is not in OUTBOUND_ALLOW");
    expect(await textOf(ask(url, "10.0.0.0/8, 127.0.0.0/8")())).toBe("here");
    expect(paths).toEqual(["/"]);
  });

  it("ends in its time, also when garbage is collected meanwhile, and when its caller is not interested any more", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const outbound = createOutbound();
    onTestFinished(() => outbound.destroy().then(() => void silent.close()));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const leaving = new AbortController();
    const call = (timeoutMs: number) =>
      boundedFetch(outbound, url, {
        method: "GET",
        headers: new Headers(),
        timeoutMs,
        maxBytes: 1,
        signal: leaving.signal,
      });
    const collecting = setInterval(collectGarbage, 50);
    onTestFinished(() => clearInterval(collecting));
    await expect(call(300.5)).rejects.toThrow("no answer within 0.3005 s");
    const calling = call(60_000);
    leaving.abort();
    await expect(calling).rejects.toThrow("aborted");
  });

  it("follows no redirect", async () => {
    const { url, paths } = await startTarget("127.0.0.1");
    await expect(ask(url, undefined)("/redirect")).rejects.toThrow("redirect (302), which is not followed");
    expect(paths).toEqual(["/redirect"]);
  });
});

describe("the address of an adopted worker", () => {
  it.each(["http://user:pass-word@127.0.0.1:9/", "http:user:pass-word@["])(
    "%s is called by no probe and no dispatch, and given away by none",
    async (url) => {
      await app.api.post("/api/runtime/workers").send({ name: "adopted" });
      await query("update workers set url = $1, last_heartbeat = 0 where id = 'adopted'", [url]);
      expect((await app.api.get("/api/runtime/workers/adopted").expect(200)).body.url).toBe("");
      expect((await app.api.get("/api/runtime/workers").expect(200)).body).toMatchObject([{ url: "" }]);
      const lines: string[] = [];
      const outbound = createOutbound();
      onTestFinished(() => outbound.destroy());
      const log = createLog("trace", { write: (line: string) => void lines.push(line) });
      expect(await probeOnce(db, outbound, log)).toBe(0);
      expect(lines.join()).toContain("its address must not be called");
      const task = { context_id: "c", agent_slug: "a", prompt: "p" };
      const { id } = (await app.api.post("/api/runtime/llm-tasks").send(task)).body;
      const dispatch = { worker_id: "adopted" };
      const { body } = await app.api.post(`/api/runtime/llm-tasks/${id}/dispatch`).send(dispatch).expect(502);
      expect(body.error).toBe("The agent cannot be reached: its address must not be called");
      const audited = await app.api.get("/api/runtime/audit");
      expect(JSON.stringify([lines, app.logged, audited.body])).not.toContain("pass-word");
      await app.api.delete("/api/runtime/workers/adopted").expect(200);
    },
  );
});

describe("OUTBOUND_ALLOW", async () => {
  const fenced = await startApp(db, { env: { OUTBOUND_ALLOW: "10.0.0.0/8, agents.example" } });

  it("holds for Membridge, and for the agents of workers", async () => {
    const { url, paths } = await startTarget("127.0.0.1");
    await fenced.api.post("/api/runtime/config").send({ membridge_server_url: url, admin_key: "key" }).expect(200);
    expect((await fenced.api.get("/api/membridge/health").expect(502)).body.error).toContain("OUTBOUND_ALLOW");
    await fenced.api.post("/api/runtime/workers").send({ name: "rpi", url }).expect(201);
    const task = { context_id: "c", agent_slug: "a", prompt: "p" };
    const { id } = (await fenced.api.post("/api/runtime/llm-tasks").send(task)).body;
    const { body } = await fenced.api.post(`/api/runtime/llm-tasks/${id}/dispatch`).expect(502);
    expect(body.error).toContain("is not in OUTBOUND_ALLOW");
    expect(paths).toEqual([]);
  });

  it("holds for health probes", async () => {
    const { url, paths } = await startTarget("127.0.0.1");
    await fenced.api.post("/api/runtime/workers").send({ name: "quiet", url });
    await query("update workers set last_heartbeat = 0");
    const lines: string[] = [];
    const outbound = createOutbound(parseAllowed("10.0.0.0/8"));
    onTestFinished(() => outbound.destroy());
    const log = createLog("debug", { write: (line: string) => void lines.push(line) });
    expect(await probeOnce(db, outbound, log)).toBe(0);
    expect([paths, lines.join()]).toEqual([[], expect.stringContaining("127.0.0.1) is not in OUTBOUND_ALLOW")]);
  });

  it.each([
    ["10.1.2.3", "10.0.0.0/8", true],
    ["11.1.2.3", "10.0.0.0/8", false],
    ["::ffff:10.1.2.3", "10.0.0.0/8", true],
    ["fd00::5", "fd00::/8", true],
    ["fe00::5", "fd00::/8", false],
    ["192.168.1.5", "192.168.1.5", true],
    ["192.168.1.6", "192.168.1.5", false],
  ])("decides of %s by %s: %s", (address, list, isAllowed) => {
    expect(refusalOf(parseAllowed(list), "some.example", address) === undefined).toBe(isAllowed);
  });

  it.each(["Pi.example", "pi.example."])("has the name %s, in any case", (host) => {
    expect(refusalOf(parseAllowed("a.example, pi.EXAMPLE"), host, "1.2.3.4")).toBeUndefined();
    expect(refusalOf(parseAllowed("a.example"), host, "1.2.3.4")).toContain("is not in OUTBOUND_ALLOW");
  });

  it.each(["10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/", "a b", "http://a.example", "a.example/8", ",", "1.2.3.4/8/8"])(
    "that is %s stops the start",
    (list) => {
      expect(parseAllowed(list)).toBeUndefined();
    },
  );
});
afterAll(() => app.dispatcher.stop());
