import { StartError } from "../errors.ts";

/** The object store did not do what it was asked to do; `message` says why. */
export class BucketFault extends Error {}

/** There is no such object, or not even the bucket. */
export class NoSuchObject extends BucketFault {}

/** The object store was not asked, since it failed too often lately. */
export class StorePaused extends BucketFault {}

/** The bytes to store could not be read from their source, which is not the object store's fault. `cause` says why. */
export class SourceFault extends Error {}

/** True when the object store, or how it is set up, kept the bytes from being stored or read. */
export function isStoreFault(error: unknown): error is BucketFault | StartError {
  return error instanceof BucketFault || error instanceof StartError;
}
