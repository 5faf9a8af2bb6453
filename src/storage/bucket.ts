import { Readable } from "node:stream";
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from "cockatiel";
import { Client } from "minio";
import { unlessAborted, withDeadline } from "../abort-signals.ts";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import { timeCall, watchCircuit } from "../metrics/common-meters.ts";
import type { Meters } from "../metrics/service-meters.ts";
import type { ArtifactKey } from "./artifact-key.ts";
import { BucketFault, NoSuchObject, SourceFault } from "./bucket-faults.ts";
import { prepareBucket } from "./prepare-bucket.ts";
import { isNoBucket, storageFaultOf } from "./s3-faults.ts";
import { transport } from "./s3-transport.ts";

/** A connection on which nothing moves for this time is closed. */
const IDLE_MS = 10_000;
/** A check of the bucket and a removal may take this time, and so may an answer without an object. */
const CALL_MS = 30_000;
/** After this number of failed uploads in a row, no upload is tried for `PAUSE_MS`, since a completion would wait for each. */
const FAILURES = 5;
const PAUSE_MS = 10_000;

/** Bytes to store, and what is known of them. */
export interface Upload {
  body: Iterable<Buffer> | AsyncIterable<Buffer>;
  sizeBytes: number;
  sha256: string;
  contentType: string;
}

export interface PutOptions {
  /** How many milliseconds the upload may take. Without it, an upload may take a minute, and more by its size: 1 GB may take three hours. */
  withinMs?: number;
  /** Ends the upload, which then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Nobody waits for this upload: its failure does not count towards the failures in a row. */
  isBackground?: boolean;
}

/** A range of bytes, counted from 0. */
export interface Part {
  start: number;
  length: number;
}

/** The runtime's own bucket. All calls throw a BucketFault or a ForeignBucket when they fail, or the reason of an aborted `signal`. */
export interface Bucket {
  readonly name: string;
  /** Makes the bucket if it is missing. ForeignBucket: it is not ours to use. BucketFault: the store does not answer. */
  checkOwn(): Promise<void>;
  /** Stores the bytes in one request, so that a failure leaves no part of them. SourceFault: the bytes could not be read. StorePaused. */
  put(key: ArtifactKey, upload: Upload, options: PutOptions): Promise<void>;
  /** The object's bytes, or a part of them. NoSuchObject. */
  get(key: ArtifactKey, part?: Part, signal?: AbortSignal): AsyncGenerator<Buffer>;
  /** Removes the object. It is no fault when there is none. */
  remove(key: ArtifactKey, signal?: AbortSignal): Promise<void>;
  /** An address at which anybody may read the object for `expiresSeconds`. A browser saves it as `fileName` and never shows it. */
  presign(key: ArtifactKey, expiresSeconds: number, fileName: string): Promise<string>;
}

export interface BucketOptions {
  idleMs?: number;
  callMs?: number;
  pauseMs?: number;
  meters?: Meters;
}

/** Opens the bucket, and connects only at the first use. Its calls are measured by `meters`. The times are for tests. */
export function openBucket(
  { bucket: name, ...connection }: NonNullable<Config["minio"]>,
  { idleMs = IDLE_MS, callMs = CALL_MS, pauseMs = PAUSE_MS, meters }: BucketOptions = {},
): Bucket {
  /** By how much our clock was ahead of the store's at the store's last answer. */
  let aheadMs = 0;
  const noteTime = (storeMs: number) => {
    aheadMs = Number.isNaN(storeMs) ? 0 : Date.now() - storeMs;
  };
  const asBucketFault = (error: unknown) => storageFaultOf(error, aheadMs);
  const connect = (signal?: AbortSignal) =>
    new Client({
      ...connection,
      // A stream cannot be sent twice, and an output stays in PostgreSQL when its upload fails.
      retryOptions: { disableRetry: true },
      transport: transport(connection.useSSL, { idleMs, answerMs: callMs }, noteTime, signal),
    });
  const client = connect();
  const breaker = circuitBreaker(
    handleWhen((error) => error instanceof BucketFault),
    { halfOpenAfter: pauseMs, breaker: new ConsecutiveBreaker(FAILURES) },
  );
  if (meters) watchCircuit(meters, "s3", () => breaker.state !== CircuitState.Closed);
  let own: Promise<void> | undefined;

  const withinCall = <T>(what: string, signal: AbortSignal | undefined, work: (ending: AbortSignal) => Promise<T>) =>
    withDeadline(callMs, () => new BucketFault(`${what} within ${callMs / 1_000} s`), signal, work);

  /** Checks the bucket once. A check that failed is made again at the next use. */
  function checkOwn(): Promise<void> {
    own ??= withinCall("not checked", undefined, async (ending) => {
      try {
        await prepareBucket(connect(ending), name, connection.region);
      } catch (error) {
        own = undefined;
        throw ending.aborted ? ending.reason : asBucketFault(error);
      }
    });
    return own;
  }

  /** Runs `work` on the bucket after it was checked. A bucket that was deleted meanwhile is made again at the next use. */
  async function use<T>(signal: AbortSignal | undefined, work: (client: Client) => Promise<T>): Promise<T> {
    await unlessAborted(checkOwn(), signal);
    const end = timeCall(meters, "s3");
    try {
      const done = await work(signal ? connect(signal) : client);
      end("success");
      return done;
    } catch (error) {
      if (isNoBucket(error)) own = undefined;
      const fault = signal?.aborted ? signal.reason : asBucketFault(error);
      if (fault instanceof BucketFault) end(fault instanceof NoSuchObject ? "success" : "error");
      throw fault;
    }
  }

  async function upload(key: ArtifactKey, { body, sizeBytes, ...facts }: Upload, signal: AbortSignal): Promise<void> {
    const headers = { "content-type": facts.contentType, "content-length": String(sizeBytes) };
    const options = { method: "PUT", bucketName: name, objectName: key, headers };
    let fault: SourceFault | undefined;
    const bytes = readFrom(body, (error) => {
      fault = new SourceFault(`The bytes to store could not be read: ${messageOf(error)}`, { cause: error });
    });
    await use(signal, async (client) => {
      const stream = Readable.from(bytes);
      try {
        // Over TLS, the client does not sign the hash of the body.
        const sha256 = client.enableSHA256 ? facts.sha256 : "";
        const answer = await client.makeRequestStreamAsync(options, stream, sha256, [200], "");
        answer.resume();
      } catch (error) {
        // A store may close the connection before it says that the bucket is gone.
        if (!fault) own = undefined;
        throw fault ?? error;
      } finally {
        stream.destroy();
      }
    });
  }

  return {
    name,
    checkOwn,
    put: (key, bytes, { withinMs = 60_000 + bytes.sizeBytes / 100, signal, isBackground }) => {
      const late = () => new BucketFault(`not stored within ${withinMs / 1_000} s`);
      const work = () => withDeadline(withinMs, late, signal, (ending) => upload(key, bytes, ending));
      if (isBackground && breaker.state === CircuitState.Closed) return work();
      return breaker.execute(work).catch((error) => {
        throw signal?.aborted ? error : asBucketFault(error);
      });
    },
    async *get(key, part, signal) {
      const answer = await use(signal, (client) =>
        part ? client.getPartialObject(name, key, part.start, part.length) : client.getObject(name, key),
      );
      try {
        yield* answer;
      } catch (error) {
        throw signal?.aborted ? signal.reason : asBucketFault(error);
      }
    },
    remove: (key, signal) =>
      withinCall("not removed", signal, (ending) =>
        use(ending, (client) => client.removeObject(name, key)).catch((error) => {
          if (!(error instanceof NoSuchObject)) throw error;
        }),
      ),
    presign: (key, expiresSeconds, fileName) =>
      client
        .presignedGetObject(name, key, expiresSeconds, {
          "response-content-disposition": `attachment; filename="${fileName}"`,
        })
        .catch((error) => {
          throw asBucketFault(error);
        }),
  };
}

/** Passes the bytes on, and reports when they cannot be read: the stream that is made of them does not tell such an error from its own. */
async function* readFrom(body: Upload["body"], onFault: (error: unknown) => void): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    onFault(error);
    throw error;
  }
}
