/** PgBouncer in transaction mode in front of the test server, where it is installed: Debian packages it. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePort } from "./free-port.ts";

/** Where it is; undefined when it is not installed. */
export const pgbouncerPath = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"]
  .map((folder) => join(folder, "pgbouncer"))
  .find((path) => existsSync(path));

/** Starts it and gives the address of the same database through it. A server connection serves a client for one transaction only. */
export async function startPgbouncer(
  path: string,
  databaseUrl: string,
): Promise<{ url: string; stop(): Promise<void> }> {
  const target = new URL(databaseUrl);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "bloom-pgbouncer-"));
  const value = (text: string) => `'${decodeURIComponent(text).replaceAll("'", "''")}'`;
  // PgBouncer takes an empty password for an error.
  const password = target.password && ` password=${value(target.password)}`;
  const server = `host=${target.hostname} port=${target.port || 5432} user=${value(target.username)}${password}`;
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: "transaction",
    default_pool_size: 5,
    max_client_conn: 200,
  };
  const lines = Object.entries(settings).map(([name, setting]) => `${name} = ${setting}`);
  const ini = join(folder, "pgbouncer.ini");
  writeFileSync(
    ini,
    `[databases]\nbloom = ${server} dbname=${target.pathname.slice(1)}\n[pgbouncer]\n${lines.join("\n")}\n`,
  );
  chmodSync(folder, 0o755);
  chmodSync(ini, 0o644);
  // It refuses to run as root.
  const nobody = (which: string) => Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }));
  const as = process.getuid?.() === 0 ? { uid: nobody("-u"), gid: nobody("-g") } : {};
  const child = spawn(path, [ini], { ...as, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  while (!(await accepts(port))) if (child.exitCode !== null) throw new Error(`PgBouncer did not start:\n${said}`);
  return {
    url: `postgresql://bloom@127.0.0.1:${port}/bloom`,
    stop: async () => {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => setTimeout(() => resolve(false), 20));
    socket.once("connect", () => socket.destroy());
  });
}
