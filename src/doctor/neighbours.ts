/** What can be said of Membridge, the object store, and the service itself. */
import type { Logger } from "pino";
import { z } from "zod";
import { hostInUrl } from "../callable-addresses.ts";
import type { Config } from "../config.ts";
import type { Db } from "../db/client.ts";
import { messageOf } from "../errors.ts";
import { attempt, isFault } from "../fleet/membridge-attempt.ts";
import { createOutbound } from "../fleet/outbound.ts";
import { createMembridgeConfig } from "../saved-config/membridge-config.ts";
import { createSecretBox } from "../saved-config/secret-box.ts";
import { findSettingsBox } from "./database.ts";
import { type Finding, note, ok, timeOf, wrong } from "./finding.ts";

const ANSWER_WITHIN_MS = 5_000;
const SWEEP_LATE_MS = 60_000;

/** Asks Membridge for its health, and for something that needs the admin key. `isWanted`: its address was given. Nothing is recorded. */
export async function checkMembridge(db: Db, config: Config, isWanted: boolean, log: Logger): Promise<Finding> {
  const membridgeConfig = createMembridgeConfig(
    db,
    (await findSettingsBox(config, log)) ?? createSecretBox(""),
    config.membridge,
    log,
  );
  const address = await membridgeConfig.address();
  const isSaved = address.url !== config.membridge.url;
  const outbound = createOutbound(config.outboundAllow);
  try {
    const ask = (path: string) => attempt(outbound, address, [path], { timeoutMs: ANSWER_WITHIN_MS });
    const { status } = await ask("health");
    if (status >= 400) return wrong(`Membridge answered ${status} to GET /health.`, "See what its own log says.");
    const { status: keyed } = await ask("agents");
    if (keyed === 401 || keyed === 403)
      return wrong(
        `Membridge ${address.adminKey === "" ? "wants an admin key, and none is set" : "refuses the admin key"} (${keyed}).`,
        "Save the right one: POST /api/runtime/config.",
      );
    return ok("Membridge answers, and takes the admin key");
  } catch (error) {
    if (!isFault(error)) throw error;
    const sentence = `Membridge cannot be reached: ${error.message}.`;
    if (isWanted || isSaved) return wrong(sentence, "Start it, or save its right address: POST /api/runtime/config.");
    return note(sentence, "Where there is none, nothing is wrong: workers register themselves.");
  } finally {
    await outbound.destroy();
  }
}

/** Looks whether the bucket can be used; makes it when it is missing, as the service would. */
export async function checkBucket({ minio }: Config): Promise<Finding> {
  if (minio === undefined) return ok("No object store is set: outputs are kept in PostgreSQL");
  const { openBucket } = await import("../storage/bucket.ts");
  try {
    await openBucket(minio).checkOwn();
    return ok(`The bucket ${minio.bucket} can be used`);
  } catch (error) {
    return wrong(
      `The bucket ${minio.bucket} cannot be used: ${messageOf(error)}.`,
      "Outputs stay in PostgreSQL until it can. Check the MINIO_ settings, and the store's own log.",
    );
  }
}

/** Asks the service on this machine whether it is ready, and when it swept last. */
export async function checkService({
  port,
  bindAddress = "127.0.0.1",
  metricsKey,
  apiKey,
  sweepIntervalMs,
}: Config): Promise<Finding[]> {
  const host = hostInUrl(bindAddress === "0.0.0.0" ? "127.0.0.1" : bindAddress);
  const ask = (path: string) => {
    const key = metricsKey ?? apiKey;
    const headers = { ...(key !== undefined && { "X-Runtime-API-Key": key }) };
    return fetch(`http://${host}:${port}${path}`, { headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  };
  let ready: Response;
  try {
    ready = await ask("/readyz");
  } catch {
    return [note(`The service does not run here: nothing answers at ${host}:${port}.`, "Start it: `npm start`.")];
  }
  if (!ready.headers.has("x-bloom-runtime"))
    return [
      wrong(`Another program answers at ${host}:${port}.`, "Stop it, or set BLOOM_RUNTIME_PORT to another port."),
    ];
  if (!ready.ok) {
    const parsed = z.object({ error: z.string() }).safeParse(await ready.json().catch(() => undefined));
    const why = parsed.data?.error ?? `it answers ${ready.status} to GET /readyz.`;
    return [wrong(`The service is not ready: ${why}`, "See its log.")];
  }
  const runs = ok(`The service runs at ${host}:${port} and is ready`);
  const metrics = await ask("/metrics");
  if (!metrics.ok)
    return [
      runs,
      note(
        `When it swept last is not known: GET /metrics answers ${metrics.status}.`,
        "Run this with the service's own settings.",
      ),
    ];
  const swept = /^bloom_loop_last_success_timestamp_seconds\{loop="lease sweep"\} (\S+)$/m.exec(
    await metrics.text(),
  )?.[1];
  const agoMs = Date.now() - Number(swept ?? 0) * 1_000;
  if (swept === undefined || agoMs > sweepIntervalMs + SWEEP_LATE_MS)
    return [
      runs,
      wrong(
        swept === undefined ? "It has not swept yet." : `It swept ${timeOf(agoMs)} ago.`,
        'Its log says why the loop "lease sweep" fails.',
      ),
    ];
  return [runs, ok(`It swept ${timeOf(Math.max(0, agoMs))} ago`)];
}
