import { StartError } from "../errors.ts";

/** The object store did not do what it was asked; `message` says why. */
export class BucketFault extends Error {}

/** There is no such object, or no bucket at all. */
export class NoSuchObject extends BucketFault {}

/** It failed too often lately, and was not asked. */
export class StoreRests extends BucketFault {}

/** The bytes to be stored could not be read from where they are: not the object store's fault. `cause` says why. */
export class SourceFault extends Error {}

/** True when the object store, or how it is set up, kept the bytes from being stored or read. */
export function isStoreFault(error: unknown): error is BucketFault | StartError {
  return error instanceof BucketFault || error instanceof StartError;
}
