import { resolve } from "node:path";
import { z } from "zod";
import { StartError } from "./errors.ts";
import {
  allowedAddresses,
  bindAddress,
  bucketName,
  databaseUrl,
  daysKept,
  headerValue,
  hostName,
  httpUrl,
  keyValue,
  origins,
  region,
  share,
  untrimmed,
  webhookSecret,
  wholeNumber,
} from "./setting-values.ts";

/** Everything that the environment decides, checked once at the start, frozen, and passed in. Never read from `process.env` elsewhere. */
export type Config = Readonly<z.output<typeof environment>>;

const variables = z.object({
  NODE_ENV: z.enum(["production", "development", "test"]).default("development"),
  DATABASE_URL: databaseUrl.optional(),
  DB_POOL_MAX: wholeNumber(1, 500, 6),
  DATA_DIR: z.string().default(".data"),
  BLOOM_RUNTIME_PORT: wholeNumber(0, 65_535, 3002),
  BIND_ADDRESS: bindAddress.optional(),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  RUNTIME_API_KEY: keyValue.optional(),
  RUNTIME_API_KEY_PREVIOUS: keyValue.optional(),
  METRICS_KEY: keyValue.optional(),
  ALLOW_OPEN: z.enum(["true", "false"]).default("false"),
  SETTINGS_KEY: z.string().min(16, "must have at least 16 characters").optional(),
  SETTINGS_KEY_PREVIOUS: z.string().min(16, "must have at least 16 characters").optional(),
  MEMBRIDGE_SERVER_URL: httpUrl.default("http://127.0.0.1:8000"),
  MEMBRIDGE_ADMIN_KEY: headerValue.default(""),
  MEMBRIDGE_AGENT_KEY: headerValue.default(""),
  MINIO_ENDPOINT: hostName.optional(),
  MINIO_PORT: wholeNumber(1, 65_535, 9000),
  MINIO_ACCESS_KEY: keyValue.default(""),
  MINIO_SECRET_KEY: z.string().default(""),
  MINIO_REGION: region,
  MINIO_ARTIFACT_BUCKET: bucketName.default("bloom-artifacts"),
  MINIO_USE_SSL: z.enum(["true", "false"]).default("false"),
  RATE_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 100),
  TEST_CONNECTION_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 20),
  WORKER_CALLBACK_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 6_000),
  WRONG_KEY_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 20),
  RATE_LIMIT_SHARED: z.enum(["true", "false"]).default("false"),
  STRANGER_CONNECTIONS_PER_ADDRESS: wholeNumber(0, 1_000_000, 100),
  MAX_BODY_MB: wholeNumber(1, 100, 10),
  MAX_OUTPUT_MB: wholeNumber(1, 4_096, 1_024),
  DISK_WARN_MB: wholeNumber(0, 1_000_000_000, 1_024),
  DISK_REFUSE_MB: wholeNumber(0, 1_000_000_000, 200),
  DRAIN_SECONDS: wholeNumber(0, 300, 0),
  RETENTION_DAYS: daysKept,
  AUDIT_RETENTION_DAYS: daysKept,
  QUEUE_STALLED_AFTER_SEC: wholeNumber(0, 604_800, 900),
  SWEEP_INTERVAL_MS: wholeNumber(100, 3_600_000, 15_000),
  WORKER_SYNC_INTERVAL_MS: wholeNumber(100, 3_600_000, 10_000),
  CORS_ORIGINS: origins,
  OUTBOUND_ALLOW: allowedAddresses.optional(),
  CALLBACK_SECRET: webhookSecret.optional(),
  CALLBACK_SECRET_PREVIOUS: webhookSecret.optional(),
  PUBLIC_URL: httpUrl.optional(),
  LIVE_OUTPUT: z.enum(["true", "false"]).default("true"),
  ACCOUNT_PACE_AT: share(0.95),
  AUTO_DISPATCH: z.enum(["true", "false"]).default("false"),
  TRUST_PROXY_HOPS: wholeNumber(0, 16, -1),
});

/** The names of all settings. */
export const SETTINGS = Object.keys(variables.shape);

/** The names of settings that hold a secret, or an address with a secret in it. */
export const SECRETS = [
  "DATABASE_URL",
  "RUNTIME_API_KEY",
  "RUNTIME_API_KEY_PREVIOUS",
  "METRICS_KEY",
  "SETTINGS_KEY",
  "SETTINGS_KEY_PREVIOUS",
  "MEMBRIDGE_ADMIN_KEY",
  "MEMBRIDGE_AGENT_KEY",
  "MINIO_SECRET_KEY",
  "CALLBACK_SECRET",
  "CALLBACK_SECRET_PREVIOUS",
] as const satisfies (keyof typeof variables.shape)[];

const OPEN_IN_PRODUCTION =
  "is needed with NODE_ENV=production, since without it everybody may do everything; ALLOW_OPEN=true starts without it, where something in front lets only the right callers through";

const environment = variables
  .superRefine((env, context) => {
    const fault = (key: keyof typeof env, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    if (env.RUNTIME_API_KEY === undefined) {
      if (env.NODE_ENV === "production" && env.ALLOW_OPEN !== "true") fault("RUNTIME_API_KEY", OPEN_IN_PRODUCTION);
      if (env.RUNTIME_API_KEY_PREVIOUS !== undefined)
        fault("RUNTIME_API_KEY", "is needed when RUNTIME_API_KEY_PREVIOUS is set");
    }
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
    return {
      production,
      databaseUrl: env.DATABASE_URL,
      databasePoolMax: env.DB_POOL_MAX,
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
        /** The limits by the minute hold over all instances, and not for each. */
        areShared: env.RATE_LIMIT_SHARED === "true",
        unkeyedConnectionsPerAddress: boundsConnections ? env.STRANGER_CONNECTIONS_PER_ADDRESS : 0,
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
  const parsed = environment.safeParse(Object.fromEntries(given.filter(([, value]) => value)));
  if (parsed.success) {
    const { settingsKeysPrevious, ...config } = parsed.data;
    return Object.freeze({ ...config, settingsKeysPrevious: [...settingsKeysPrevious, ...untrimmed(env)] });
  }
  const faults = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new StartError(`The environment has ${faults.length} wrong setting(s):\n${faults.join("\n")}`);
}
