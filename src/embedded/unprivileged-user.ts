/**
 * PostgreSQL refuses to run as root. This file decides as which user a service that was started as root runs it, and how that user reaches
 * the files.
 */
import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { StartError } from "../errors.ts";
import { type RunAs, run, type SystemUser } from "./run-program.ts";

const execute = promisify(execFile);

/**
 * Whom PostgreSQL runs as: nobody else than the service, unless that is root. Then the owner of the files in `cluster`, else the user
 * `postgres`, else `nobody`. Throws a StartError when the system has none of them.
 */
export async function userFor(cluster: string): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(cluster).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const user = (await userNamed("postgres")) ?? (await userNamed("nobody"));
  if (user) return user;
  throw new StartError(
    "PostgreSQL refuses to run as root, and this system has no user `postgres` or `nobody` to run it as. Start as an ordinary user, or set DATABASE_URL.",
  );
}

/**
 * The way in which `user` can go to `dataDir` and run `command` there, or undefined. Below a folder that others may not enter, such as
 * /root, only a Linux capability that lets it pass helps; the files stay where they are, and nobody else gets in.
 */
export async function findWay(
  user: SystemUser | undefined,
  dataDir: string,
  command: readonly string[],
): Promise<RunAs | undefined> {
  if (!user) return { user, wrapper: [] };
  const probe = ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", dataDir, ...command];
  for (const wrapper of [[], withCapability("dac_read_search", user), withCapability("dac_override", user)]) {
    if ((await run({ user, wrapper }, probe)).ok) return { user, wrapper };
  }
  return undefined;
}

/**
 * Docker's default set has no dac_read_search, but dac_override, which can do more. Without no_setuid_fixup the kernel leaves
 * capabilities out of access(), which PostgreSQL asks about its files.
 */
function withCapability(name: string, { uid, gid }: SystemUser): string[] {
  const only = `-all,+${name}`;
  const ids = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
  return ["setpriv", "--securebits=+no_setuid_fixup", ...ids, `--inh-caps=${only}`, `--ambient-caps=${only}`];
}

async function userNamed(name: string): Promise<SystemUser | undefined> {
  try {
    const [uid, gid] = await Promise.all(["-u", "-g"].map((which) => execute("id", [which, name])));
    return uid && gid && { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}
