/** Places for outputs, and outputs in them. */

import { pino } from "pino";
import { NOBODY } from "../../src/caller.ts";
import type { Db } from "../../src/db/client.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { openBucket } from "../../src/storage/bucket.ts";
import type { OutputStorage } from "../../src/storage/output-storage.ts";
import { stageUpload } from "../../src/storage/staging.ts";
import { aLeasedTask, completion } from "./factories.ts";
import type { Connection } from "./s3.ts";

/** Without a bucket: outputs stay in PostgreSQL. */
export const inDatabase: OutputStorage = { bucket: undefined, log: pino({ level: "silent" }) };

export interface StoreOptions {
  idleMs?: number;
  pauseMs?: number;
  uploadWithinMs?: number;
}

/** With a bucket, and what is logged about it. */
export function storeAt(connection: Connection, { uploadWithinMs = 10_000, ...options }: StoreOptions = {}) {
  const logged: string[] = [];
  const log = pino({ level: "warn", base: null }, { write: (line: string) => void logged.push(line) });
  const store: OutputStorage = { bucket: openBucket(connection, options), log, uploadWithinMs };
  return { store, logged };
}

/** Completes a task that is held. Its output stays in PostgreSQL. */
export const complete = async (db: Db, taskId: string, fields = {}) =>
  completeTask(db, NOBODY, inDatabase, taskId, completion(fields));

/** A task that a worker has completed with this output. */
export async function completed(db: Db, store: OutputStorage, output: string, fields = {}, task = {}) {
  const { task: made, lease } = await aLeasedTask(db, { task });
  const request = completion({ output, lease_id: lease.id, ...fields });
  return completeTask(db, NOBODY, store, made.id, request);
}

/** The same with an output that was uploaded before; one over 10 MB, or with a NUL, lies in pieces. */
export async function uploaded(db: Db, store: OutputStorage, bytes: Buffer) {
  const { task, lease } = await aLeasedTask(db);
  const { id } = await stageUpload(db, { taskId: task.id, leaseId: lease.id }, oneByOne(bytes), bytes.length);
  const request = completion({ output: null, output_id: id, lease_id: lease.id });
  return completeTask(db, NOBODY, store, task.id, request);
}

async function* oneByOne(bytes: Buffer): AsyncGenerator<Buffer> {
  const size = 64 * 1024;
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
