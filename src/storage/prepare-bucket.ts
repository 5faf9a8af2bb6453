import type { Client } from "minio";
import { StartError } from "../errors.ts";
import { isNoBucket } from "./s3-faults.ts";

/** The only folder at the root of our bucket (lifecycle.md, invariant 12). */
const OURS = "artifacts/";
/** A text that sorts after all of our keys, whose second part is a UUID or `archive`: a listing from here finds foreign keys. */
const AFTER_OURS = "artifacts/~";
/** How the names of the other memory layer's buckets begin: `claude-mem`, `claude-memory`. */
const CLAUDE_MEM = "claude-mem";

/** The bucket belongs to another service; `message` says what to do. */
export class ForeignBucket extends StartError {}

/**
 * Makes the bucket in `region` if it is missing. ForeignBucket: the bucket holds anything but our artifacts, or has a name of the other memory
 * layer. Membridge keeps its database at projects/<id>/sqlite/claude-mem.db, so that the root of the bucket is checked, and not single names:
 * everything that is not ours is foreign.
 */
export async function prepareBucket(client: Client, bucket: string, region: string): Promise<void> {
  if (bucket.startsWith(CLAUDE_MEM)) throw foreign(`Bucket "${bucket}" has a name of claude-mem's buckets`);
  try {
    await requireOurs(client, bucket);
  } catch (error) {
    if (!isNoBucket(error)) throw error;
    await client.makeBucket(bucket, region).catch(async (fault) => {
      // Another instance may have made it first.
      if (!(await client.bucketExists(bucket))) throw fault;
    });
  }
}

/** Checks the bucket by listing it: a HEAD request would not say why it failed. */
async function requireOurs(client: Client, bucket: string): Promise<void> {
  for (const after of ["", AFTER_OURS]) {
    // Keys come in order, so that the first key of each listing is enough.
    const { objects } = await client.listObjectsQuery(bucket, "", after, { Delimiter: "", MaxKeys: 1 });
    const key = objects[0]?.name ?? OURS;
    if (!key.startsWith(OURS))
      throw foreign(`Bucket "${bucket}" holds ${JSON.stringify(rootOf(key))}, which is not BLOOM Runtime's`);
  }
}

const rootOf = (key: string) => key.slice(0, key.indexOf("/") + 1) || key;

function foreign(reason: string): ForeignBucket {
  return new ForeignBucket(
    `${reason}. Set MINIO_ARTIFACT_BUCKET to a bucket for BLOOM Runtime alone; a new one is made.`,
  );
}
