import { BrokenCircuitError } from "cockatiel";
import { S3Error } from "minio";
import { messageOf, StartError } from "../errors.ts";
import { BucketFault, NoSuchObject, SourceFault, StorePaused } from "./bucket-faults.ts";

const GONE = new Set(["NoSuchKey", "NoSuchBucket", "NotFound"]);
const OURS = [BucketFault, StartError, SourceFault];

/**
 * Turns what the S3 client throws into a BucketFault. The client's own errors carry network codes, which would be taken for faults of the database.
 * `aheadMs` is by how much the clock of this machine is ahead of the store's.
 */
export function storageFaultOf(error: unknown, aheadMs = 0): unknown {
  if (OURS.some((kind) => error instanceof kind)) return error;
  if (error instanceof BrokenCircuitError)
    return new StorePaused("it failed too often lately, and is left alone for a while");
  if (error instanceof S3Error && error.code && GONE.has(error.code))
    return new NoSuchObject("there is no such object");
  if (error instanceof S3Error && error.code === "RequestTimeTooSkewed") return new BucketFault(wrongClock(aheadMs));
  if (error instanceof S3Error && error.code === "AuthorizationHeaderMalformed")
    return new BucketFault(wrongRegion(error));
  const code = error instanceof S3Error && error.code ? `${error.code}: ` : "";
  return new BucketFault(code + (messageOf(error) || "no connection"));
}

export const isNoBucket = (error: unknown) => error instanceof S3Error && error.code === "NoSuchBucket";

function wrongClock(aheadMs: number): string {
  const minutes = Math.round(Math.abs(aheadMs) / 60_000);
  const off = minutes === 0 ? "off" : `${minutes} min ${aheadMs > 0 ? "ahead of" : "behind"} that of the object store`;
  return `RequestTimeTooSkewed: the clock of this machine is ${off}, which refuses requests of another time. Set it right`;
}

function wrongRegion(error: S3Error): string {
  const region = "region" in error && typeof error.region === "string" ? error.region : "the region of the store";
  return `AuthorizationHeaderMalformed: the object store takes requests for another region only. Set MINIO_REGION to ${region}`;
}
