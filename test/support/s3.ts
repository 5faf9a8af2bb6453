/** A real object store for tests (object-store.ts), with a client to look into it. */
import { randomUUID } from "node:crypto";
import { text } from "node:stream/consumers";
import { Client } from "minio";
import { afterAll, onTestFinished } from "vitest";
import { type Connection, settingsFor, startObjectStore } from "./object-store.ts";
import { dockerAnswers } from "./postgres.ts";
import { startProxy, type TcpProxy } from "./tcp-proxy.ts";

export type { Connection };

export interface TestS3 {
  /** How to reach a bucket that nobody else uses, and that does not exist yet. */
  connection(): Connection;
  /** The same behind a proxy, which ends with the running test. */
  behindProxy(): Promise<{ connection: Connection; proxy: TcpProxy }>;
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
  const server = await startObjectStore(await dockerAnswers());
  afterAll(server.stop);
  const client = new Client(server.address);
  const connection = () => ({ ...server.address, bucket: `bloom-${randomUUID()}` });
  const keys = async (bucket: string) => {
    const found: string[] = [];
    for await (const { name } of client.listObjectsV2(bucket, "", true)) found.push(name ?? "");
    return found;
  };
  return {
    client,
    keys,
    connection,
    behindProxy: async () => {
      const direct = connection();
      const proxy = await startProxy(`127.0.0.1:${direct.port}`);
      onTestFinished(proxy.close);
      return { connection: { ...direct, port: proxy.port }, proxy };
    },
    env: settingsFor,
    read: async (bucket, key) => text(await client.getObject(bucket, key)),
    drop: async (bucket) => {
      for (const key of await keys(bucket)) await client.removeObject(bucket, key);
      await client.removeBucket(bucket);
    },
  };
}
