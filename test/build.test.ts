/** `npm run build`, which stands before each program: what another user than the folder's owner gets of it. */
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { ROOT } from "./support/compiled-programs.ts";
import { folderForTest } from "./support/temporary-folder.ts";

const ENTRIES = ["server", "worker/main", "key-tool", "doctor/main", "db/migration-tool", "openapi-tool"];
const OTHERS = ["backup-tool", "output-schema/check-thread"];
const NOBODY = 65_534;
const run = promisify(execFile);

/** Runs the build as the folder's owner, or as somebody who may not write into it: root may always, so that the build is nobody's then. */
async function build(cwd: string, { mayWrite }: { mayWrite: boolean }): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  const folders = [cwd, join(cwd, "dist"), join(cwd, "dist/console")];
  for (const folder of folders) await chmod(folder, mayWrite ? 0o755 : 0o555).catch(() => undefined);
  const other = isRoot && !mayWrite ? { uid: NOBODY, gid: NOBODY } : {};
  try {
    await run(process.execPath, ["build.mjs"], { cwd, ...other });
  } finally {
    for (const folder of folders) await chmod(folder, 0o755).catch(() => undefined);
  }
}

/** A folder like the project's, with programs of one line and no console. */
async function makeProject(): Promise<string> {
  const folder = await folderForTest("bloom-build-");
  await cp(join(ROOT, "build.mjs"), join(folder, "build.mjs"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package-lock.json"), "{}");
  await writeFile(join(folder, "build-console.mjs"), "export const buildConsole = async () => [];");
  for (const part of ["worker", "doctor", "db", "output-schema"])
    await mkdir(join(folder, "src", part), { recursive: true });
  for (const name of [...ENTRIES, ...OTHERS])
    await writeFile(join(folder, `src/${name}.ts`), `console.log("${name}");`);
  return folder;
}

it("lets another user start what the owner built, where only the times of the sources changed since", async () => {
  const folder = await makeProject();
  await build(folder, { mayWrite: true });
  await utimes(join(folder, "src/server.ts"), 1, 1);
  await build(folder, { mayWrite: false });
});

it("tells another user in a sentence that the owner has to build", async () => {
  const folder = await makeProject();
  const refused = {
    code: 1,
    stderr: "dist/ cannot be written (EACCES). Run `npm run build` as the owner of this folder first.\n",
  };
  await expect(build(folder, { mayWrite: false })).rejects.toMatchObject(refused);
  await build(folder, { mayWrite: true });
  await writeFile(join(folder, "src/server.ts"), "console.log('changed');");
  await expect(build(folder, { mayWrite: false })).rejects.toMatchObject(refused);
});
