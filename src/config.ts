import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { z } from "zod";
import { faultSentence } from "./contract/fault-sentences.ts";
import { StartError } from "./errors.ts";
import { variables } from "./setting-schema.ts";
import { untrimmed } from "./setting-values.ts";

/** Everything that the environment decides, checked once at the start, frozen, and passed in. Never read from `process.env` elsewhere. */
export type Config = Readonly<z.output<typeof environment>>;

const OPEN_IN_PRODUCTION =
  "is needed with NODE_ENV=production, since without it everybody may do everything; ALLOW_OPEN=true starts without it, where something in front lets only the right callers through";

/** Connections to the database: for each process, and for all processes together, where DB_POOL_MAX is not set. */
const POOL_OF_PROCESS = 6;
const POOL_OF_ALL = 60;

const environment = variables
  .superRefine((env, context) => {
    const fault = (key: keyof typeof env, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    if (env.RUNTIME_API_KEY === undefined) {
      if (env.NODE_ENV === "production" && env.ALLOW_OPEN !== "true") fault("RUNTIME_API_KEY", OPEN_IN_PRODUCTION);
      if (env.RUNTIME_API_KEY_PREVIOUS !== undefined)
        fault("RUNTIME_API_KEY", "is needed when RUNTIME_API_KEY_PREVIOUS is set");
    }
    const pool = env.DB_POOL_MAX || POOL_OF_ALL;
    if (Number(env.INSTANCES) > pool)
      fault(
        "DB_POOL_MAX",
        `must be ${env.INSTANCES} or more: each of the ${env.INSTANCES} INSTANCES needs a connection`,
      );
    if (env.MINIO_ENDPOINT === undefined) return;
    for (const key of ["MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"] as const) {
      if (!env[key]) fault(key, "is needed when MINIO_ENDPOINT is set");
    }
  })
  .transform((env) => {
    const production = env.NODE_ENV === "production";
    const trustProxyHops = env.TRUST_PROXY_HOPS < 0 ? Number(production) : env.TRUST_PROXY_HOPS;
    // Behind a proxy, all connections come from its address. Without RUNTIME_API_KEY, no connection can show a key.
    const boundsConnections = env.RUNTIME_API_KEY !== undefined && trustProxyHops === 0;
    const pool = env.DB_POOL_MAX || POOL_OF_ALL;
    const processes = env.INSTANCES === "auto" ? Math.min(availableParallelism(), pool) : Number(env.INSTANCES);
    const strangers = boundsConnections ? env.STRANGER_CONNECTIONS_PER_ADDRESS : 0;
    return {
      production,
      databaseUrl: env.DATABASE_URL,
      /** How many processes serve on the port. What is bounded for all of them is divided here, so that each keeps to its part. */
      processes,
      databasePoolMax: Math.floor(
        env.DB_POOL_MAX === 0 ? Math.min(POOL_OF_PROCESS, pool / processes) : pool / processes,
      ),
      dataDir: resolve(env.DATA_DIR),
      port: env.BLOOM_RUNTIME_PORT,
      /** The address to listen on; undefined means every address of the machine. */
      bindAddress: env.BIND_ADDRESS,
      logLevel: env.LOG_LEVEL,
      apiKey: env.RUNTIME_API_KEY,
      /** The key before `apiKey`. It is valid too, until all callers have the new key. */
      apiKeyPrevious: env.RUNTIME_API_KEY_PREVIOUS,
      /** Opens the metrics, and nothing else. */
      metricsKey: env.METRICS_KEY,
      /** The operator says that a proxy lets only the right callers through, so that production needs no key. */
      allowOpen: env.ALLOW_OPEN === "true",
      settingsKey: env.SETTINGS_KEY,
      /** Keys with which settings may be encrypted. At the start, such settings are encrypted anew. */
      settingsKeysPrevious: env.SETTINGS_KEY_PREVIOUS === undefined ? [] : [env.SETTINGS_KEY_PREVIOUS],
      membridge: {
        url: env.MEMBRIDGE_SERVER_URL,
        adminKey: env.MEMBRIDGE_ADMIN_KEY,
        agentKey: env.MEMBRIDGE_AGENT_KEY,
      },
      minio:
        env.MINIO_ENDPOINT === undefined
          ? undefined
          : {
              endPoint: env.MINIO_ENDPOINT,
              port: env.MINIO_PORT,
              useSSL: env.MINIO_USE_SSL === "true",
              accessKey: env.MINIO_ACCESS_KEY,
              secretKey: env.MINIO_SECRET_KEY,
              region: env.MINIO_REGION,
              bucket: env.MINIO_ARTIFACT_BUCKET,
            },
      limits: {
        requestsPerMinute: env.RATE_LIMIT_PER_MINUTE,
        connectionTestsPerMinute: env.TEST_CONNECTION_LIMIT_PER_MINUTE,
        workerCallbacksPerMinute: env.WORKER_CALLBACK_LIMIT_PER_MINUTE,
        wrongKeysPerMinute: env.WRONG_KEY_LIMIT_PER_MINUTE,
        /** The limits by the minute hold over all instances and processes, and not for each. */
        areShared: env.RATE_LIMIT_SHARED === "true" || processes > 1,
        unkeyedConnectionsPerAddress: Math.ceil(strangers / processes),
        bodyBytes: env.MAX_BODY_MB * 1024 * 1024,
        outputBytes: env.MAX_OUTPUT_MB * 1024 * 1024,
      },
      diskLimits: { warnBelow: env.DISK_WARN_MB * 1024 * 1024, refuseBelow: env.DISK_REFUSE_MB * 1024 * 1024 },
      /** How long a service that is to stop goes on taking requests, so that what is in front of it sees it leave. */
      drainMs: env.DRAIN_SECONDS * 1_000,
      /** For how many days ended tasks and audit entries are kept; 0: for ever. */
      keptDays: { tasks: env.RETENTION_DAYS, auditEntries: env.AUDIT_RETENTION_DAYS },
      sweepIntervalMs: env.SWEEP_INTERVAL_MS,
      /** For how long the oldest task may be due before a stall is told; 0: no stall is told. */
      queueStalledAfterSeconds: env.QUEUE_STALLED_AFTER_SEC,
      workerSyncIntervalMs: env.WORKER_SYNC_INTERVAL_MS,
      /** The addresses that may be called; undefined for all. */
      outboundAllow: env.OUTBOUND_ALLOW,
      /** What signs the callbacks of tasks, the newest first; none: there are no callbacks. */
      callbackSecrets: [env.CALLBACK_SECRET, env.CALLBACK_SECRET_PREVIOUS].filter((secret) => secret !== undefined),
      corsOrigins: env.CORS_ORIGINS,
      /** The address at which agents reach this service. */
      publicUrl: env.PUBLIC_URL,
      /** Whether workers may send what tasks print while they run. */
      liveOutput: env.LIVE_OUTPUT === "true",
      /** The used share of an account's allowance from which on it gets one task at a time; 0 is never. */
      accountPaceAt: env.ACCOUNT_PACE_AT,
      autoDispatch: env.AUTO_DISPATCH === "true",
      /** Where traces are sent; undefined: nothing is traced. */
      collector:
        env.OTEL_EXPORTER_OTLP_ENDPOINT === undefined
          ? undefined
          : {
              url: `${env.OTEL_EXPORTER_OTLP_ENDPOINT.replace(/\/+$/, "")}/v1/traces`,
              headers: env.OTEL_EXPORTER_OTLP_HEADERS,
              serviceName: env.OTEL_SERVICE_NAME,
              sampledShare: env.OTEL_TRACES_SAMPLER_ARG,
            },
      /** How many proxies in front of the service may name the client's address. */
      trustProxyHops,
    };
  });

/**
 * The configuration that `env` asks for. White space around a value does not count, and an empty value counts as not set. Throws a StartError
 * that lists all faults at once, by the names of the settings and without their values, which may be secrets.
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const given = Object.entries(env).map(([name, value]) => [name, value?.trim()] as const);
  const parsed = environment.safeParse(Object.fromEntries(given.filter(([, value]) => value)), {
    error: faultSentence,
  });
  if (parsed.success) {
    const { settingsKeysPrevious, ...config } = parsed.data;
    return Object.freeze({ ...config, settingsKeysPrevious: [...settingsKeysPrevious, ...untrimmed(env)] });
  }
  const faults = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new StartError(
    `The environment, or the file .env, has ${faults.length} wrong setting(s):\n${faults.join("\n")}`,
  );
}
