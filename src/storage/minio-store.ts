import { setTimeout as delay } from "node:timers/promises";
import { Client } from "minio";
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { messageOf, StartError } from "../errors.ts";
import type { ArtifactStore, Output, StoredOutput } from "./artifact-store.ts";

/** A slower upload is given up, and the text stays in PostgreSQL. */
const UPLOAD_TIMEOUT_MS = 10_000;
const CONTENT_TYPES = { json: "application/json", text: "text/plain; charset=utf-8" };

export interface MinioStore extends ArtifactStore {
  /** Throws a StartError when the bucket belongs to the other memory layer; an unreachable MinIO is only logged. */
  checkBucket(): Promise<void>;
}

/** Keeps outputs under `artifacts/<task id>/<artifact id>` in the bucket, which is made when it is missing, and in PostgreSQL when that fails. */
export function createMinioStore({ bucket, ...connection }: NonNullable<Config["minio"]>, log: Logger): MinioStore {
  const client = new Client(connection);
  let usable: Promise<void> | undefined;

  /** Checks the bucket once; a check that failed is made again at the next use. */
  function ownBucket(): Promise<void> {
    usable ??= prepareBucket(client, bucket).catch((error) => {
      usable = undefined;
      throw error;
    });
    return usable;
  }

  async function upload({ taskId, artifactId, format, output }: Output & { output: string }): Promise<StoredOutput> {
    await ownBucket();
    const key = `artifacts/${taskId}/${artifactId}`;
    const body = Buffer.from(output);
    await client.putObject(bucket, key, body, body.length, { "Content-Type": CONTENT_TYPES[format] });
    return { url: `minio://${bucket}/${key}`, content: null };
  }

  async function discard({ url }: StoredOutput): Promise<void> {
    const prefix = `minio://${bucket}/`;
    if (!url?.startsWith(prefix)) return;
    await client
      .removeObject(bucket, url.slice(prefix.length))
      .catch((error) => log.warn({ err: error, url }, "an object without an artifact stays in the bucket"));
  }

  return {
    async put({ output, ...where }) {
      if (output === null) return { url: null, content: null };
      const uploading = upload({ ...where, output });
      const giveUp = new AbortController();
      try {
        const late = delay(UPLOAD_TIMEOUT_MS, undefined, { signal: giveUp.signal }).then(() => {
          throw new Error(`no answer within ${UPLOAD_TIMEOUT_MS / 1_000} s`);
        });
        return await Promise.race([uploading, late]);
      } catch (error) {
        log.warn(
          { reason: messageOf(error), artifact: where.artifactId },
          "the object store failed; the output stays in PostgreSQL",
        );
        // Should it arrive after all, nothing refers to it.
        uploading.then(discard, () => {});
        return { url: null, content: output };
      } finally {
        giveUp.abort();
      }
    },
    discard,
    async checkBucket() {
      try {
        await ownBucket();
      } catch (error) {
        if (error instanceof StartError) throw error;
        log.warn(
          { reason: messageOf(error) },
          "the object store cannot be reached; outputs stay in PostgreSQL until it can",
        );
      }
    },
  };
}

/** The two memory layers never mix (lifecycle.md, invariant 12): a bucket that holds claude-mem's objects is not ours to use. */
async function prepareBucket(client: Client, bucket: string): Promise<void> {
  if (!(await client.bucketExists(bucket))) {
    await client.makeBucket(bucket);
    return;
  }
  for await (const { name, prefix } of client.listObjectsV2(bucket, "", false)) {
    if ((name ?? prefix ?? "").includes("claude-mem"))
      throw new StartError(
        `Bucket "${bucket}" holds claude-mem's objects. Set MINIO_ARTIFACT_BUCKET to a bucket for BLOOM Runtime alone.`,
      );
  }
}
