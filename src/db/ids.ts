import { v7 } from "uuid";

/** A new id: UUID version 7, whose leading timestamp keeps rows that were made together close together in the indexes. */
export function newId(): string {
  return v7();
}

/** True for the text of any UUID, whatever its version: adopted rows have ids that we did not make. */
export function isUuid(value: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(value);
}
