import { accessSync, constants, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { messageOf, StartError } from "../errors.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";

/** The folder in which a worker's commands run. */
export interface CommandFolder {
  path: string;
  /** Why it is not the folder that the worker was called in; undefined where it is, or was given. */
  reason: string | undefined;
}

/**
 * Chooses the folder in which commands run: the given folder, or else the folder that the worker was called in. Where that holds files of the
 * service or of the key, which a CLI that may edit files would edit, it is `work` in the worker's own folder, which is made for its user alone.
 * StartError: the given folder cannot be entered, or the own one cannot be made.
 */
export function chooseCommandFolder(
  given: string | undefined,
  ownFolder: string,
  env: NodeJS.ProcessEnv,
): CommandFolder {
  const calledIn = callersFolder(env);
  if (given !== undefined) {
    const path = resolve(calledIn, given);
    const fault = folderFault(path);
    if (fault) throw new StartError(`--cwd: ${fault}. Make it first, or name another.`);
    return { path, reason: undefined };
  }
  const reason = unfitness(calledIn, env.RUNTIME_API_KEY_FILE);
  if (reason === undefined) return { path: calledIn, reason };
  const path = join(ownFolder, "work");
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(
      `The command cannot run in ${calledIn}, since that ${reason}, and no other folder could be made: ${messageOf(error)}. Give --cwd a folder for it.`,
      { cause: error },
    );
  }
  return { path, reason: `${calledIn} ${reason}` };
}

/** Why no command can run in the folder, as a sentence without its stop; undefined when one can. */
export function folderFault(path: string): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return `${path} is no folder`;
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return `the folder ${path}, in which its command runs, cannot be entered: ${messageOf(error)}`;
  }
}

/** npm changes the folder to that of the package, and tells in INIT_CWD from where it was called. What npm runs inherits it. */
function callersFolder({ npm_lifecycle_event, INIT_CWD }: NodeJS.ProcessEnv): string {
  return npm_lifecycle_event === "worker" && INIT_CWD ? INIT_CWD : process.cwd();
}

function unfitness(calledIn: string, keyFile: string | undefined): string | undefined {
  const [folder, checkout] = [real(calledIn), real(PACKAGE_FOLDER)];
  if (isWithin(folder, checkout)) return "is the service's checkout";
  if (isWithin(checkout, folder)) return "holds the service's checkout";
  return keyFile && isWithin(real(dirname(resolve(keyFile))), folder) ? "holds the worker's key" : undefined;
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`);
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
