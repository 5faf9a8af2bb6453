/**
 * `npm run bench:written -- --clients 16 --seconds 5`: what a lifecycle writes to PostgreSQL's log, by table and index, as pg_walinspect says. The
 * PostgreSQL is that at TEST_DATABASE_URL, else the embedded one; the role must be a superuser.
 */
import { parseArgs } from "node:util";
import buildPrograms from "../support/compiled-programs.ts";
import { API_KEY, connect, load } from "./load.ts";
import { openPostgres } from "./postgres.ts";
import { startService } from "./service.ts";
import { lifecycle, register } from "./work.ts";

const { values } = parseArgs({
  options: { clients: { type: "string", default: "16" }, seconds: { type: "string", default: "5" } },
});
const clients = Number(values.clients);
const seconds = Number(values.seconds);
if (!Number.isInteger(clients) || clients < 1 || !(seconds > 0)) {
  process.stderr.write("Usage: npm run bench:written -- --clients 16 --seconds 5\n");
  process.exit(2);
}

await using postgres = await openPostgres();
const database = await postgres.makeDatabase("written");
const { client } = database;
await buildPrograms();
const { base, stop } = await startService(postgres, database);
await client.query("create extension pg_walinspect");
const caller = connect(base, API_KEY, new Map());
await register(caller);
await caller.close();
const run = () =>
  load(
    base,
    API_KEY,
    Array.from({ length: clients }, () => lifecycle),
    seconds,
  );
await run();

const placeNow = async () => (await client.query<{ lsn: string }>("select pg_current_wal_lsn() as lsn")).rows[0]?.lsn;
// The first change of a page after a checkpoint writes the whole page, which is shown by itself.
await client.query("checkpoint");
const from = await placeNow();
const { everDone } = await run();
await stop();

const { rows } = await client.query<{ name: string; kind: string; records: number; bytes: number; pages: number }>(
  `select coalesce(c.relname, case when w.resource_manager = 'Transaction' then 'commits' else 'other' end) as name,
     case c.relkind when 'r' then 'table' when 'i' then 'index' else '' end as kind,
     count(*)::float8 as records, sum(w.record_length - w.fpi_length)::float8 as bytes, sum(w.fpi_length)::float8 as pages
   from pg_get_wal_records_info($1, pg_current_wal_flush_lsn()) as w
     left join pg_class c on pg_relation_filenode(c.oid) = substring(w.block_ref from 'rel \\d+/\\d+/(\\d+)')::oid
   group by 1, 2 order by 4 desc`,
  [from],
);
const each = (sum: number) => sum / everDone;
const line = (name: string, { records, bytes, pages }: { records: number; bytes: number; pages: number }) =>
  `| ${name} | ${each(records).toFixed(1)} | ${each(bytes).toFixed(0)} | ${each(pages).toFixed(0)} |`;
const total = { records: 0, bytes: 0, pages: 0 };
const lines = [];
for (const row of rows) {
  for (const what of ["records", "bytes", "pages"] as const) total[what] += row[what];
  if (each(row.bytes) >= 1) lines.push(line(`${row.name} ${row.kind}`.trim(), row));
}
process.stdout.write(
  [
    `${everDone} lifecycles of ${clients} client(s), each four calls. For each of them, in PostgreSQL's log:`,
    "",
    "| What | Records | Bytes | Whole pages after a checkpoint, bytes |",
    "|---|---|---|---|",
    ...lines,
    line("all", total),
    "",
  ].join("\n"),
);
