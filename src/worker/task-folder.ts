import { isUtf8 } from "node:buffer";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFileTail } from "./file-tail.ts";
import type { Work } from "./runtime-client.ts";
import { inputsOf } from "./task-inputs.ts";

/** Where this number of bytes can still be written, what the command wrote was not cut off for lack of space. */
const PROBE_BYTES = 65_536;
const LONGEST_COMPLAINT_BYTES = 10_000;

/** The files of a task: what its command gets besides the prompt, and what it writes. A large output is never held in memory. */
export interface TaskFolder {
  /** The files of what the task brings besides its prompt, by its name. */
  inputFiles: Record<string, string>;
  outputFile: string;
  errorFile: string;
  /** Rejects when nothing more can be written, so that what the command wrote may be cut off. */
  requireFreeDisk(): Promise<void>;
  outputBytes(): Promise<number>;
  /** The output as text, if it is UTF-8 without NUL; undefined for any other bytes. */
  outputText(): Promise<string | undefined>;
  /** The end of what the command wrote to standard error, as text whatever its bytes are. */
  complaint(): Promise<string>;
  remove(): Promise<void>;
}

/** Makes the folder of a task. Rejects when the temporary folder cannot be written. */
export async function createTaskFolder(work: Work): Promise<TaskFolder> {
  const folder = await mkdtemp(join(tmpdir(), "bloom-task-"));
  const [outputFile, errorFile] = [join(folder, "out"), join(folder, "err")];
  const inputFiles: Record<string, string> = {};
  const remove = () => rm(folder, { recursive: true, force: true }).catch(() => {});
  const requireFreeDisk = async () => {
    const probe = join(folder, "probe");
    await writeFile(probe, Buffer.alloc(PROBE_BYTES)).finally(() => rm(probe, { force: true }));
  };
  try {
    for (const [name, text] of Object.entries(inputsOf(work))) {
      const file = join(folder, name);
      await writeFile(file, text);
      inputFiles[name] = file;
    }
    for (const file of [outputFile, errorFile]) await writeFile(file, "");
    await requireFreeDisk();
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    inputFiles,
    outputFile,
    errorFile,
    requireFreeDisk,
    outputBytes: async () => (await stat(outputFile)).size,
    outputText: async () => {
      const bytes = await readFile(outputFile);
      return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString("utf8") : undefined;
    },
    complaint: async () =>
      (await readFileTail(errorFile, LONGEST_COMPLAINT_BYTES)).toString("utf8").replaceAll("\0", "").trim(),
    remove,
  };
}
