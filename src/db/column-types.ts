import { bigint, customType } from "drizzle-orm/pg-core";

/** A time, in milliseconds of the Unix epoch. */
export const epochMs = (name: string) => bigint(name, { mode: "number" });

/** A number of bytes; it may exceed the 2 GB of a 32-bit integer. */
export const byteCount = () => bigint({ mode: "number" });

/** Raw bytes (PostgreSQL `bytea`). */
export const bytes = customType<{ data: Buffer }>({ dataType: () => "bytea" });

/** The number of a transaction (PostgreSQL `xid8`), which is never used again in the life of a database server. */
export const transactionId = customType<{ data: string }>({ dataType: () => "xid8" });
