import { BrokenCircuitError } from "cockatiel";
import { S3Error } from "minio";
import { messageOf, StartError } from "../errors.ts";
import { BucketFault, NoSuchObject, SourceFault, StoreRests } from "./bucket-faults.ts";

const GONE = new Set(["NoSuchKey", "NoSuchBucket", "NotFound"]);
const OURS = [BucketFault, StartError, SourceFault];

/** What the client throws, as a BucketFault: its own errors carry network codes that would be taken for the database's. */
export function faultOf(error: unknown): unknown {
  if (OURS.some((kind) => error instanceof kind)) return error;
  if (error instanceof BrokenCircuitError)
    return new StoreRests("it failed too often lately, and is left alone for a while");
  if (error instanceof S3Error && error.code && GONE.has(error.code))
    return new NoSuchObject("there is no such object");
  const code = error instanceof S3Error && error.code ? `${error.code}: ` : "";
  return new BucketFault(code + (messageOf(error) || "no connection"));
}

export const isNoBucket = (error: unknown) => error instanceof S3Error && error.code === "NoSuchBucket";
