/** The proxies of `deploy/`, each started with its own file, of which only addresses and certificates are changed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../support/compiled-programs.ts";
import { freePort } from "../support/free-port.ts";

export const PROXIES = ["haproxy", "nginx", "caddy"] as const;
export type ProxyName = (typeof PROXIES)[number];

const LISTENS_WITHIN_MS = 10_000;

export interface Proxy {
  url: string;
  /** The end of what it has written to standard error. */
  said(): string;
  stop(): Promise<void>;
}

/** Starts it on a free port, in front of the services at these ports, with its files in `folder`. Throws when the program is not there. */
export async function startProgram(name: ProxyName, ports: [number, number], folder: string): Promise<Proxy> {
  const port = await freePort();
  const { command, env = {} } = prepare(name, port, ports, folder);
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk) => {
    said = `${said}${chunk}`.slice(-20_000);
  });
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  const url = `http://127.0.0.1:${port}`;
  const startedAt = performance.now();
  while (!(await answers(`${url}/livez`))) {
    if (failure) throw failure;
    if (child.exitCode !== null || performance.now() - startedAt > LISTENS_WITHIN_MS) {
      await end(child);
      throw new Error(`${name} does not answer: ${said}`);
    }
    await delay(50);
  }
  return { url, said: () => said, stop: () => end(child) };
}

interface Prepared {
  command: string[];
  env?: Record<string, string>;
}

function prepare(name: ProxyName, port: number, [one, two]: [number, number], folder: string): Prepared {
  const given = (file: string) =>
    readFileSync(join(ROOT, "deploy", file), "utf8")
      .replace("127.0.0.1:3002", `127.0.0.1:${one}`)
      .replace("127.0.0.1:3003", `127.0.0.1:${two}`);
  const written = (text: string) => {
    const path = join(folder, `${name}.conf`);
    writeFileSync(path, text);
    return path;
  };
  if (name === "haproxy") {
    const path = written(
      given("haproxy.cfg").replace("bind :80", `bind 127.0.0.1:${port}`).replace("maxconn 10000", "maxconn 1000"),
    );
    return { command: ["haproxy", "-db", "-f", path] };
  }
  if (name === "caddy") {
    const env = { SITE_ADDRESS: `http://127.0.0.1:${port}`, UPSTREAMS: `127.0.0.1:${one} 127.0.0.1:${two}` };
    const command = ["caddy", "run", "--adapter", "caddyfile", "--config", join(ROOT, "deploy", "Caddyfile")];
    return { command, env: { ...env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } };
  }
  const site = given("nginx.conf")
    .replace(/server \{\n {2}listen 80;[^}]*\}\n/, "")
    .replace("listen 443 ssl;", `listen 127.0.0.1:${port};`)
    .replace(/ {2}ssl_certificate.*\n/g, "");
  const path = written(
    `daemon off; pid ${folder}/nginx.pid; error_log stderr; events {}\nhttp {\naccess_log off;\nclient_body_temp_path ${folder}/bodies;\n${site}}\n`,
  );
  return { command: ["nginx", "-c", path] };
}

const answers = (url: string) =>
  fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}
