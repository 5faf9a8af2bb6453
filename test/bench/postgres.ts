import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { startEmbedded } from "../../src/embedded/start.ts";
import { withDatabase } from "../support/database-url.ts";

/** The PostgreSQL of a benchmark, with a folder for its services. All that it opened ends with it: with `await using`, also where something fails. */
export interface BenchPostgres extends AsyncDisposable {
  url: string;
  /** A connection that makes and drops databases. */
  admin: pg.Client;
  folder: string;
  /** Makes a database that is named after what it is for. */
  makeDatabase(purpose: string): Promise<BenchDatabase>;
  /** Has this called at the end, before all that was opened earlier ends. */
  atEnd(end: () => unknown): void;
}

export interface BenchDatabase {
  name: string;
  url: string;
  client: pg.Client;
}

/** Opens the PostgreSQL at TEST_DATABASE_URL, else an embedded one. */
export async function openPostgres(): Promise<BenchPostgres> {
  const ends: (() => unknown)[] = [];
  async function endAll(): Promise<void> {
    const faults: unknown[] = [];
    for (const end of ends.splice(0).reverse())
      try {
        await end();
      } catch (error) {
        faults.push(error);
      }
    if (faults.length > 0) throw new AggregateError(faults, "Not all that the benchmark opened could be ended.");
  }
  async function connected(url: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    ends.push(() => client.end());
    await client.connect();
    return client;
  }
  try {
    const folder = await mkdtemp(join(tmpdir(), "bloom-bench-"));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    let url = process.env.TEST_DATABASE_URL;
    if (!url) {
      const embedded = await startEmbedded({ dataDir: folder, log: pino({ level: "silent" }) });
      ends.push(() => embedded.stop());
      url = embedded.url;
    }
    const serverUrl = url;
    const admin = await connected(serverUrl);
    return {
      url: serverUrl,
      admin,
      folder,
      async makeDatabase(purpose) {
        const name = `bloom_${purpose}_${process.pid}`;
        await admin.query(`create database ${name}`);
        ends.push(() => admin.query(`drop database ${name} with (force)`));
        const ofDatabase = withDatabase(serverUrl, name);
        return { name, url: ofDatabase, client: await connected(ofDatabase) };
      },
      atEnd: (end) => void ends.push(end),
      [Symbol.asyncDispose]: endAll,
    };
  } catch (error) {
    await endAll();
    throw error;
  }
}
