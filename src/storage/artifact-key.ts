import { isUuid } from "../db/ids.ts";

declare const brand: unique symbol;
/** Where an artifact's bytes are in the bucket. Only `artifactKey` and `keyIn` make one, so that nothing outside `artifacts/` is ever named. */
export type ArtifactKey = string & { readonly [brand]: true };

/** `artifacts/<task id>/<artifact id>` (lifecycle.md, invariant 12). Throws when either is no UUID. */
export function artifactKey(taskId: string, artifactId: string): ArtifactKey {
  if (!isUuid(taskId) || !isUuid(artifactId)) throw new Error("A key in the bucket is made of two UUIDs.");
  return `artifacts/${taskId}/${artifactId}` as ArtifactKey;
}

/** The key that an artifact's `minio://<bucket>/<key>` names; undefined when it is in another bucket, or outside `artifacts/`. */
export function keyIn(bucket: string, url: string): ArtifactKey | undefined {
  const prefix = `minio://${bucket}/`;
  const key = url.startsWith(prefix) ? url.slice(prefix.length) : "";
  const isOurs = /^artifacts\/[^/]/.test(key) && !key.split("/").some((part) => part === "." || part === "..");
  return isOurs ? (key as ArtifactKey) : undefined;
}
