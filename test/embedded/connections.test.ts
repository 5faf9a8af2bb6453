import { expect, it } from "vitest";
import { findEmbedded } from "../../src/embedded/start.ts";
import { eventually } from "../support/eventually.ts";
import { startProcess } from "../support/service-process.ts";
import { query, usedFolder } from "./support.ts";

it("the service has as many connections as docs/operations.md says, however many calls it answers", async () => {
  const DATA_DIR = await usedFolder();
  const { url } = await startProcess({ DATA_DIR, DB_POOL_MAX: "3", RATE_LIMIT_PER_MINUTE: "0" });
  const ask = async (path: string) => (await fetch(`${url}/api/runtime/${path}`)).status;
  const database = await findEmbedded(DATA_DIR);
  const listeners = "select pid from pg_stat_activity where application_name like '% listen' and datname is not null";
  await eventually(async () => expect(await query(database, listeners)).toHaveLength(1));
  const lists = ["stats", "llm-tasks", "leases", "audit", "workers"];
  for (let round = 0; round < 5; round++) {
    const asked = Promise.all(Array.from({ length: 8 }, () => lists.map(ask)).flat());
    const connections = await query(
      database,
      `select regexp_replace(application_name, ' \\d+ \\w+$', '') as name, datname, count(*)::int as n
      from pg_stat_activity
      where backend_type = 'client backend' and datname is not null and pid <> pg_backend_pid() group by 1, 2 order by 1`,
    );
    for (const status of await asked) expect(status).toBe(200);
    expect(connections.filter(({ name }) => name !== "bloom-runtime")).toEqual([
      { name: "bloom-runtime listen", datname: "bloom", n: 1 },
      { name: "bloom-runtime owner", datname: "postgres", n: 1 },
    ]);
    expect(connections.find(({ name }) => name === "bloom-runtime")?.n).toBeLessThanOrEqual(3);
  }
});
