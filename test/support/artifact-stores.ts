import { pino } from "pino";
import type { ArtifactStore } from "../../src/storage/place.ts";

/** Without a bucket: outputs stay in PostgreSQL. */
export const inDatabase: ArtifactStore = { bucket: undefined, log: pino({ level: "silent" }) };
