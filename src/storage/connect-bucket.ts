import type { Config } from "../config.ts";
import { messageOf, StartError } from "../errors.ts";
import type { Meters } from "../metrics/service-meters.ts";
import type { Bucket } from "./bucket.ts";
import type { OutputStorage } from "./output-storage.ts";

/** Checks the bucket. A bucket of the other memory layer ends the start; an object store that does not answer yet does not. */
export async function checkBucket({ bucket, log }: OutputStorage): Promise<void> {
  try {
    await bucket?.checkOwn();
  } catch (error) {
    if (error instanceof StartError) throw error;
    log.warn(
      { reason: messageOf(error) },
      "the object store cannot be used yet; outputs stay in PostgreSQL until it can",
    );
  }
}

/** The client for object storage takes 25 MB of memory, so that it is loaded only where there is a bucket. */
export async function connectBucket(connection: NonNullable<Config["minio"]>, meters: Meters): Promise<Bucket> {
  const { openBucket } = await import("./bucket.ts");
  return openBucket(connection, { meters });
}
