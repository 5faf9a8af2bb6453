/** `npm run db:migrate` and `npm run db:push`: on the server at DATABASE_URL, or on the embedded one, which is started where it does not run. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { loadConfig } from "../config.ts";
import { loadEnvFile } from "../env-file.ts";
import { StartError } from "../errors.ts";
import { createLog } from "../log.ts";
import { joinServer, migrateServer, type Server } from "./given-or-embedded-server.ts";

async function main(command: string | undefined, options: string[]): Promise<void> {
  if (command !== "migrate" && command !== "push") throw new StartError("Say what to do: migrate or push.");
  loadEnvFile(process.env);
  const config = loadConfig({ ...process.env, ALLOW_OPEN: "true" });
  const log = createLog(config.logLevel);
  const server = await joinServer(config.databaseUrl, config.dataDir, log);
  try {
    if (command === "migrate") {
      await migrateServer(server, log);
      process.stdout.write("The database is up to date.\n");
    } else await push(server, options);
  } finally {
    await server.stop();
  }
}

/** drizzle-kit asks before it changes anything, and is confined to our tables by drizzle.config.ts. */
async function push(server: Server, options: string[]): Promise<void> {
  const env = { ...process.env, DATABASE_URL: server.url };
  const drizzleKit = spawn("drizzle-kit", ["push", ...options], { stdio: "inherit", env });
  const [code] = await once(drizzleKit, "exit");
  if (code !== 0) throw new StartError("drizzle-kit push did not succeed.");
}

main(process.argv[2], process.argv.slice(3)).catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof StartError ? error.message : error instanceof Error ? error.stack : error}\n`,
  );
  process.exitCode = 1;
});
