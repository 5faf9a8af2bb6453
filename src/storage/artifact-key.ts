import { isUuid } from "../db/ids.ts";

declare const brand: unique symbol;
/** The key of an object in the bucket. Only `artifactKey`, `archiveKey` and `keyIn` make such keys, so that none is ever outside `artifacts/`. */
export type ArtifactKey = string & { readonly [brand]: true };

/** The key `artifacts/<task id>/<artifact id>` (lifecycle.md, invariant 12). Throws when one of the ids is no UUID. */
export function artifactKey(taskId: string, artifactId: string): ArtifactKey {
  if (!isUuid(taskId) || !isUuid(artifactId)) throw new Error("A key in the bucket is made of two UUIDs.");
  return `artifacts/${taskId}/${artifactId}` as ArtifactKey;
}

/** The key `artifacts/archive/<name>` of an archive of removed records. Throws when the name could be a path. */
export function archiveKey(name: string): ArtifactKey {
  if (!/^[a-z][A-Za-z0-9.-]*$/.test(name))
    throw new Error("The name of an archive is made of letters, digits, dots and hyphens.");
  return `artifacts/archive/${name}` as ArtifactKey;
}

/** The key in the artifact's `minio://<bucket>/<key>`; undefined when that is in another bucket, or outside `artifacts/`. */
export function keyIn(bucket: string, url: string): ArtifactKey | undefined {
  const prefix = `minio://${bucket}/`;
  const key = url.startsWith(prefix) ? url.slice(prefix.length) : "";
  const isOurs = /^artifacts\/[^/]/.test(key) && !key.split("/").some((part) => part === "." || part === "..");
  return isOurs ? (key as ArtifactKey) : undefined;
}
