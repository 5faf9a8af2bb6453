/** A real object store for tests: MinIO in a container where a Docker engine answers, else S3rver, in this process. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Client } from "minio";
import { afterAll } from "vitest";
import type { Config } from "../../src/config.ts";
import { dockerAnswers } from "./postgres.ts";

export type Connection = NonNullable<Config["minio"]>;

export interface TestS3 {
  /** How to reach a bucket that nobody else uses, and that does not exist yet. */
  connection(): Connection;
  /** The settings that say the same. */
  env(connection: Connection): Record<string, string>;
  /** What an operator does with a client of their own. */
  client: Client;
  keys(bucket: string): Promise<string[]>;
  read(bucket: string, key: string): Promise<string>;
  /** Removes the bucket and all that is in it. */
  drop(bucket: string): Promise<void>;
}

/** Starts it; it ends with the test file. */
export async function startS3(): Promise<TestS3> {
  const server = (await dockerAnswers()) ? await startMinio() : await startS3rver();
  afterAll(server.stop);
  const client = new Client(server.address);
  const keys = async (bucket: string) => {
    const found: string[] = [];
    for await (const { name } of client.listObjectsV2(bucket, "", true)) found.push(name ?? "");
    return found;
  };
  return {
    client,
    keys,
    connection: () => ({ ...server.address, bucket: `bloom-${randomUUID()}` }),
    env: ({ endPoint, port, accessKey, secretKey, bucket }) => ({
      MINIO_ENDPOINT: endPoint,
      MINIO_PORT: String(port),
      MINIO_ACCESS_KEY: accessKey,
      MINIO_SECRET_KEY: secretKey,
      MINIO_ARTIFACT_BUCKET: bucket,
    }),
    read: async (bucket, key) => text(await client.getObject(bucket, key)),
    drop: async (bucket) => {
      for (const key of await keys(bucket)) await client.removeObject(bucket, key);
      await client.removeBucket(bucket);
    },
  };
}

interface Server {
  address: Omit<Connection, "bucket">;
  stop(): Promise<unknown>;
}

async function startMinio(): Promise<Server> {
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

async function startS3rver(): Promise<Server> {
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
