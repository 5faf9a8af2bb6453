import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { argumentsOf, ROOT } from "../support/compiled-programs.ts";
import { useFolder } from "../support/embedded-template.ts";
import { startProcess } from "../support/service-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const DATA_DIR = await temporaryFolder("bloom-tool-");
await useFolder(DATA_DIR);

// Each step is a process of its own; a busy machine may take its time.
const WITHIN_MS = 60_000;

it(
  "db:migrate says that the database is up to date, with the service that runs the embedded one and without",
  async () => {
    const { PATH = "" } = process.env;
    const migrating = () =>
      promisify(execFile)(process.execPath, argumentsOf("db:migrate"), {
        cwd: ROOT,
        env: { PATH, DATA_DIR, LOG_LEVEL: "warn" },
      });
    const done = { stdout: "The database is up to date.\n", stderr: "" };
    expect(await migrating()).toEqual(done);
    const service = await startProcess({ DATA_DIR });
    expect(await migrating()).toEqual(done);
    expect((await fetch(`${service.url}/api/runtime/health`)).status).toBe(200);
  },
  WITHIN_MS,
);
