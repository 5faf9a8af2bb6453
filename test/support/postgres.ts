/**
 * The PostgreSQL server of a test run, and on it the migrated template that every test file's database is cloned from.
 * TEST_DATABASE_URL if set; else a container where a Docker engine answers; else the service's own embedded server.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import type { TestProject } from "vitest/node";
import { migrate } from "../../src/db/migrate.ts";
import { withDatabase } from "./database-url.ts";

interface TestServer {
  url: string;
  kind: "TEST_DATABASE_URL" | "container" | "embedded";
  stop(): Promise<unknown>;
}

declare module "vitest" {
  export interface ProvidedContext {
    serverUrl: string;
    template: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  const template = `bloom_test_template_${process.pid}`;
  await onServer(server.url, `create database ${template}`);
  await migrate(withDatabase(server.url, template));
  project.provide("serverUrl", server.url);
  project.provide("template", template);
  return async () => {
    await onServer(server.url, `drop database ${template}`);
    await server.stop();
  };
}

async function startServer(): Promise<TestServer> {
  const given = process.env.TEST_DATABASE_URL;
  if (given) return { url: given, kind: "TEST_DATABASE_URL", stop: async () => {} };
  if (await dockerAnswers()) return startContainer();
  const dataDir = await mkdtemp(join(tmpdir(), "bloom-postgres-"));
  const { startEmbedded } = await import("../../src/embedded/start.ts");
  const embedded = await startEmbedded({ dataDir, log: pino({ level: "silent" }) });
  // Nothing here outlives the run, so no commit waits for the disk. Tests of what survives a kill start servers of their own.
  for (const setting of ["fsync", "synchronous_commit", "full_page_writes"])
    await onServer(embedded.url, `alter system set ${setting} = off`);
  await onServer(embedded.url, "select pg_reload_conf()");
  const stop = async () => {
    await embedded.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  return { url: embedded.url, kind: "embedded", stop };
}

export async function dockerAnswers(): Promise<boolean> {
  const { getContainerRuntimeClient } = await import("testcontainers");
  // It throws when it finds no engine that answers; which one and why not does not matter here.
  return getContainerRuntimeClient().then(
    () => true,
    () => false,
  );
}

async function startContainer(): Promise<TestServer> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const container = await new GenericContainer("postgres:17-alpine")
    .withEnvironment({ POSTGRES_USER: "bloom", POSTGRES_PASSWORD: "bloom", POSTGRES_DB: "bloom" })
    .withExposedPorts(5432)
    // The image starts the server twice: once to make the database, then for good.
    .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
    .start();
  const url = `postgresql://bloom:bloom@${container.getHost()}:${container.getMappedPort(5432)}/bloom`;
  return { url, kind: "container", stop: () => container.stop() };
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
