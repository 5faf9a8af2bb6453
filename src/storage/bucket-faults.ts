import { BrokenCircuitError } from "cockatiel";
import { S3Error } from "minio";
import { messageOf, StartError } from "../errors.ts";

/** The object store did not do what it was asked; `message` says why. */
export class BucketFault extends Error {}

/** There is no such object, or no bucket at all. */
export class NoSuchObject extends BucketFault {}

/** It failed too often lately, and was not asked. */
export class StoreRests extends BucketFault {}

/** The bytes to be stored could not be read from where they are: not the object store's fault. `cause` says why. */
export class SourceFault extends Error {}

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

/** True when the object store, or how it is set up, kept the bytes from being stored or read. */
export function isStoreFault(error: unknown): error is BucketFault | StartError {
  return error instanceof BucketFault || error instanceof StartError;
}

export const isNoBucket = (error: unknown) => error instanceof S3Error && error.code === "NoSuchBucket";
