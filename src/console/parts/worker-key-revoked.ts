/** Whether a worker is away because the service refuses its key. */
import type { Key, Worker } from "../../client/index.ts";

/** True when the worker is away and its own key is revoked, as far as this reader may see the keys. */
export function isKeyRevoked({ id, status }: Pick<Worker, "id" | "status">, keys: Key[]): boolean {
  const own = keys.filter(({ name, role }) => name === id && role === "work");
  return status !== "online" && own.length > 0 && own.every(({ revoked_at }) => revoked_at !== null);
}
