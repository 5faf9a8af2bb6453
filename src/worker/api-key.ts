import { readFile } from "node:fs/promises";
import { messageOf, StartError } from "../errors.ts";

/** The key that a worker shows to the runtime. */
export interface ApiKey {
  /** The key as it is now; undefined where the runtime has none. */
  current(): string | undefined;
  /** Reads the key's file again, after the runtime has refused the key. True when there is another key now. Never rejects. */
  renew(): Promise<boolean>;
}

/** Opens the key. A named `file` wins over `key`. StartError: the file cannot be read. */
export async function openApiKey(key: string | undefined, file: string | undefined): Promise<ApiKey> {
  if (!file) {
    const only = key?.trim() || undefined;
    return { current: () => only, renew: async () => false };
  }
  const read = async () => (await readFile(file, "utf8")).trim();
  let current = await read().catch((error: unknown) => {
    throw new StartError(`The file of RUNTIME_API_KEY_FILE cannot be read: ${messageOf(error)}`);
  });
  return {
    current: () => current || undefined,
    renew: async () => {
      // A file that is being replaced may be missing for a moment. The old key stays until there is a new one.
      const next = await read().catch(() => current);
      const isNew = next !== "" && next !== current;
      if (isNew) current = next;
      return isNew;
    },
  };
}
