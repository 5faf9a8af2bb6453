import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { BrokenCircuitError, ConsecutiveBreaker, circuitBreaker, handleWhen } from "cockatiel";
import { Client, S3Error } from "minio";
import type { Config } from "../config.ts";
import { messageOf, StartError } from "../errors.ts";
import type { ArtifactKey } from "./keys.ts";
import { prepareBucket, REGION } from "./own-bucket.ts";

/** A connection on which nothing moves for so long is given up. */
const IDLE_MS = 10_000;
/** After so many failed uploads in a row none is tried for a while: each would keep a completion waiting. */
const FAILURES = 5;
const REST_MS = 10_000;
const GONE = new Set(["NoSuchKey", "NoSuchBucket", "NotFound"]);

/** The object store did not do what it was asked; `message` says why. */
export class BucketFault extends Error {}

/** There is no such object. */
export class NoSuchObject extends BucketFault {}

/** Bytes to store, with what is known of them before. */
export interface Upload {
  body: Buffer | Readable;
  sizeBytes: number;
  sha256: string;
  contentType: string;
}

/** The runtime's own bucket. All calls but `checkOwn` throw BucketFault. */
export interface Bucket {
  readonly name: string;
  /** Makes the bucket where it is missing. ForeignBucket: it is not ours to use. BucketFault: nobody answers. */
  checkOwn(): Promise<void>;
  /** Stores the bytes in one request, so that the store itself checks their hash and no part of them is left when it fails. */
  put(key: ArtifactKey, upload: Upload): Promise<void>;
  /** The object's bytes, or a part of them. NoSuchObject. */
  get(key: ArtifactKey, part?: { start: number; length: number }): Promise<Readable>;
  /** Removes the object; one that is not there is no fault. */
  remove(key: ArtifactKey): Promise<void>;
  /** An address at which anybody may read the object for so long; a browser saves it as `fileName` and never shows it. */
  presign(key: ArtifactKey, expiresSeconds: number, fileName: string): Promise<string>;
}

/** Connects at the first use only. `idleMs` and `restMs` are for tests. */
export function openBucket(
  { bucket: name, ...connection }: NonNullable<Config["minio"]>,
  { idleMs = IDLE_MS, restMs = REST_MS } = {},
): Bucket {
  const client = new Client({
    ...connection,
    region: REGION,
    // A stream cannot be sent twice, and whoever uploads has PostgreSQL to fall back on.
    retryOptions: { disableRetry: true },
    transport: { request: impatient(connection.useSSL ? httpsRequest : httpRequest, idleMs) },
  });
  const breaker = circuitBreaker(
    handleWhen((error) => error instanceof BucketFault),
    { halfOpenAfter: restMs, breaker: new ConsecutiveBreaker(FAILURES) },
  );
  let own: Promise<void> | undefined;

  /** Looks at the bucket once; a look that failed is made again at the next use. */
  function checkOwn(): Promise<void> {
    own ??= translated(() => prepareBucket(client, name)).catch((error) => {
      own = undefined;
      throw error;
    });
    return own;
  }

  async function upload(key: ArtifactKey, { body, sizeBytes, sha256, contentType }: Upload): Promise<void> {
    await checkOwn();
    const headers = { "content-type": contentType, "content-length": String(sizeBytes) };
    const stream = Buffer.isBuffer(body) ? Readable.from([body]) : body;
    const options = { method: "PUT", bucketName: name, objectName: key, headers };
    try {
      // Over TLS the client signs no hash of the body.
      const answer = await client.makeRequestStreamAsync(options, stream, client.enableSHA256 ? sha256 : "", [200], "");
      answer.resume();
    } catch (error) {
      // A bucket that was deleted under way is made again at the next try.
      own = undefined;
      throw error;
    } finally {
      stream.destroy();
    }
  }

  return {
    name,
    checkOwn,
    put: (key, bytes) => translated(() => breaker.execute(() => translated(() => upload(key, bytes)))),
    get: (key, part) =>
      translated(async () => {
        await checkOwn();
        return await (part ? client.getPartialObject(name, key, part.start, part.length) : client.getObject(name, key));
      }),
    remove: (key) =>
      translated(async () => {
        await checkOwn();
        await client.removeObject(name, key);
      }),
    presign: (key, expiresSeconds, fileName) =>
      translated(() =>
        client.presignedGetObject(name, key, expiresSeconds, {
          "response-content-disposition": `attachment; filename="${fileName}"`,
        }),
      ),
  };
}

/** `request` with a limit to how long nothing may move: the client itself would wait for ever. A slow reader of ours is no such case. */
function impatient(request: typeof httpRequest, idleMs: number): typeof httpRequest {
  return ((...args: Parameters<typeof httpRequest>) => {
    const made = request(...args);
    let unread = () => 0;
    made.on("response", (answer) => {
      unread = () => answer.readableLength;
    });
    made.setTimeout(idleMs).on("timeout", () => {
      if (unread() > 0) made.setTimeout(idleMs);
      else made.destroy(new Error(`nothing moved for ${idleMs / 1_000} s`));
    });
    return made;
  }) as typeof httpRequest;
}

/** What the client throws, as a BucketFault: its own errors carry network codes that would be taken for the database's. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BucketFault || error instanceof StartError) throw error;
    if (error instanceof BrokenCircuitError)
      throw new BucketFault("it failed too often lately, and is left alone for a while");
    if (error instanceof S3Error && error.code && GONE.has(error.code))
      throw new NoSuchObject("there is no such object");
    const code = error instanceof S3Error && error.code ? `${error.code}: ` : "";
    throw new BucketFault(code + (messageOf(error) || "no connection"));
  }
}
