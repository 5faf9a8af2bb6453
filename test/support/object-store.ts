/** A real object store: MinIO in a container where a Docker engine answers, else S3rver, in this process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../../src/config.ts";

export type Connection = NonNullable<Config["minio"]>;

/** The settings of a service that uses this bucket. */
export const settingsFor = ({ endPoint, port, accessKey, secretKey, bucket }: Connection) => ({
  MINIO_ENDPOINT: endPoint,
  MINIO_PORT: String(port),
  MINIO_ACCESS_KEY: accessKey,
  MINIO_SECRET_KEY: secretKey,
  MINIO_ARTIFACT_BUCKET: bucket,
});

export interface ObjectStore {
  address: Omit<Connection, "bucket">;
  stop(): Promise<unknown>;
}

/** `inContainer`: as MinIO. */
export async function startObjectStore(inContainer: boolean): Promise<ObjectStore> {
  return inContainer ? startMinio() : startS3rver();
}

async function startMinio(): Promise<ObjectStore> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const keys = { accessKey: "bloom", secretKey: "bloom-secret-key" };
  const container = await new GenericContainer("minio/minio:latest")
    .withEnvironment({ MINIO_ROOT_USER: keys.accessKey, MINIO_ROOT_PASSWORD: keys.secretKey })
    .withCommand(["server", "/data"])
    .withExposedPorts(9000)
    .withWaitStrategy(Wait.forHttp("/minio/health/ready", 9000))
    .start();
  const address = {
    endPoint: container.getHost(),
    port: container.getMappedPort(9000),
    useSSL: false,
    region: "us-east-1",
    ...keys,
  };
  return { address, stop: () => container.stop() };
}

async function startS3rver(): Promise<ObjectStore> {
  const { default: S3rver } = await import("@20minutes/s3rver");
  const directory = await mkdtemp(join(tmpdir(), "bloom-s3-"));
  const server = new S3rver({ address: "127.0.0.1", port: 0, directory, silent: true, vhostBuckets: false });
  const { port } = await server.run();
  const stop = async () => {
    await server.close();
    await rm(directory, { recursive: true });
  };
  const keys = { accessKey: "S3RVER", secretKey: "S3RVER" };
  return { address: { endPoint: "127.0.0.1", port, useSSL: false, region: "us-east-1", ...keys }, stop };
}
