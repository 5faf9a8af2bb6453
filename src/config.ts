import { resolve } from "node:path";
import { z } from "zod";
import { isMetadataHost, parseAllowed } from "./addresses.ts";
import { StartError } from "./errors.ts";

/** Everything that the environment decides, checked once at the start, frozen, and passed in. Never read from `process.env` elsewhere. */
export type Config = Readonly<z.output<typeof environment>>;

const wholeNumber = (min: number, max: number, fallback: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback);

/** True for an absolute http or https address without credentials and fragment that is no cloud's metadata service. */
export function isHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, username, password, href } = new URL(value);
  const isPlain = hostname !== "" && !username && !password && !href.includes("#");
  return ["http:", "https:"].includes(protocol) && isPlain && !isMetadataHost(hostname);
}

/** A stored address as clients may see it: "" where it must not be called, since an adopted database's may have a password in it. */
export function shownUrl(stored: string): string {
  return isHttpUrl(stored) ? stored : "";
}

export const HTTP_URL =
  "must be an http:// or https:// address without user name and fragment, and of no cloud's metadata service";

/** A key that travels as an HTTP header, which carries printable ASCII only. */
export const headerValue = z.string().regex(/^[\x21-\x7e]+$/, "must be printable ASCII without spaces, and not empty");

const httpUrl = z.string().refine(isHttpUrl, HTTP_URL);

const origins = z
  .string()
  .default("")
  .transform((list) =>
    list
      .split(",")
      .map((origin) => origin.trim())
      .filter(Boolean),
  )
  .refine((list) => list.every((origin) => isHttpUrl(origin) && new URL(origin).origin === origin), {
    message: "must be origins such as https://garden.example, separated by commas",
  });

const addresses = z
  .string()
  .transform((list, context) => {
    const allowed = parseAllowed(list);
    if (!allowed) context.addIssue("must be host names and networks such as 10.0.0.0/8, separated by commas");
    return allowed ?? z.NEVER;
  })
  .optional();

const variables = z.object({
  NODE_ENV: z.string().default("development"),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, "must begin with postgresql://")
    .optional(),
  DB_POOL_MAX: wholeNumber(1, 500, 6),
  DATA_DIR: z.string().default(".data"),
  BLOOM_RUNTIME_PORT: wholeNumber(0, 65_535, 3002),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  RUNTIME_API_KEY: z.string().optional(),
  SETTINGS_KEY: z.string().min(16, "must have at least 16 characters").optional(),
  SETTINGS_KEY_PREVIOUS: z.string().min(16, "must have at least 16 characters").optional(),
  MEMBRIDGE_SERVER_URL: httpUrl.default("http://127.0.0.1:8000"),
  MEMBRIDGE_ADMIN_KEY: headerValue.default(""),
  MEMBRIDGE_AGENT_KEY: headerValue.default(""),
  MINIO_ENDPOINT: z
    .string()
    .regex(/^[A-Za-z0-9.-]+$/, "must be a host name without http:// and port")
    .optional(),
  MINIO_PORT: wholeNumber(1, 65_535, 9000),
  MINIO_ACCESS_KEY: z.string().default(""),
  MINIO_SECRET_KEY: z.string().default(""),
  MINIO_ARTIFACT_BUCKET: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
      "must be a bucket name: 3 to 63 small letters, digits, dots and hyphens",
    )
    .default("bloom-artifacts"),
  MINIO_USE_SSL: z.enum(["true", "false"]).default("false"),
  RATE_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 100),
  TEST_CONNECTION_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 20),
  WORKER_CALLBACK_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 6_000),
  WRONG_KEY_LIMIT_PER_MINUTE: wholeNumber(0, 1_000_000, 20),
  MAX_BODY_MB: wholeNumber(1, 100, 10),
  MAX_OUTPUT_MB: wholeNumber(1, 4_096, 1_024),
  SWEEP_INTERVAL_MS: wholeNumber(100, 3_600_000, 15_000),
  WORKER_SYNC_INTERVAL_MS: wholeNumber(100, 3_600_000, 10_000),
  CORS_ORIGINS: origins,
  OUTBOUND_ALLOW: addresses,
  PUBLIC_URL: httpUrl.optional(),
  AUTO_DISPATCH: z.enum(["true", "false"]).default("false"),
  TRUST_PROXY_HOPS: wholeNumber(0, 16, -1),
});

/** The names of all settings. */
export const SETTINGS = Object.keys(variables.shape);

/** Those that hold a secret, or an address with one. */
export const SECRETS = [
  "DATABASE_URL",
  "RUNTIME_API_KEY",
  "SETTINGS_KEY",
  "SETTINGS_KEY_PREVIOUS",
  "MEMBRIDGE_ADMIN_KEY",
  "MEMBRIDGE_AGENT_KEY",
  "MINIO_SECRET_KEY",
] as const satisfies (keyof typeof variables.shape)[];

const environment = variables
  .superRefine((env, context) => {
    if (env.MINIO_ENDPOINT === undefined) return;
    for (const key of ["MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"] as const) {
      if (!env[key]) context.addIssue({ code: "custom", path: [key], message: "is needed when MINIO_ENDPOINT is set" });
    }
  })
  .transform((env) => {
    const production = env.NODE_ENV === "production";
    return {
      production,
      databaseUrl: env.DATABASE_URL,
      databasePoolMax: env.DB_POOL_MAX,
      dataDir: resolve(env.DATA_DIR),
      port: env.BLOOM_RUNTIME_PORT,
      logLevel: env.LOG_LEVEL,
      apiKey: env.RUNTIME_API_KEY,
      settingsKey: env.SETTINGS_KEY,
      /** What settings were sealed with before; at the start they are sealed anew. */
      settingsKeyPrevious: env.SETTINGS_KEY_PREVIOUS,
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
              bucket: env.MINIO_ARTIFACT_BUCKET,
            },
      limits: {
        requestsPerMinute: env.RATE_LIMIT_PER_MINUTE,
        connectionTestsPerMinute: env.TEST_CONNECTION_LIMIT_PER_MINUTE,
        workerCallbacksPerMinute: env.WORKER_CALLBACK_LIMIT_PER_MINUTE,
        wrongKeysPerMinute: env.WRONG_KEY_LIMIT_PER_MINUTE,
        bodyBytes: env.MAX_BODY_MB * 1024 * 1024,
        outputBytes: env.MAX_OUTPUT_MB * 1024 * 1024,
      },
      sweepIntervalMs: env.SWEEP_INTERVAL_MS,
      workerSyncIntervalMs: env.WORKER_SYNC_INTERVAL_MS,
      /** What may be called besides; undefined for everything. */
      outboundAllow: env.OUTBOUND_ALLOW,
      corsOrigins: env.CORS_ORIGINS,
      /** Where agents reach this service. */
      publicUrl: env.PUBLIC_URL,
      autoDispatch: env.AUTO_DISPATCH === "true",
      /** How many proxies in front of us may name the client's address; in production, one unless told otherwise. */
      trustProxyHops: env.TRUST_PROXY_HOPS < 0 ? Number(production) : env.TRUST_PROXY_HOPS,
    };
  });

/**
 * The configuration that `env` asks for. An empty value counts as not set.
 * Throws a StartError that lists every fault at once, by name and without the value: it may be a secret.
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ""),
  );
  const parsed = environment.safeParse(given);
  if (parsed.success) return Object.freeze(parsed.data);
  const faults = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new StartError(`The environment has ${faults.length} wrong setting(s):\n${faults.join("\n")}`);
}
