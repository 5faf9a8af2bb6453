import { bigint, customType } from "drizzle-orm/pg-core";

/** A time, in milliseconds of the Unix epoch. */
export const epochMs = (name: string) => bigint(name, { mode: "number" });

/** Whole numbers beyond 2 GB. */
export const byteCount = () => bigint({ mode: "number" });

export const bytes = customType<{ data: Buffer }>({ dataType: () => "bytea" });
