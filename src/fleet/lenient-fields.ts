/** Fields of what Membridge and agents say, each read as far as it makes sense. */
import { z } from "zod";
import { text } from "../contract/request-fields.ts";

/** A field that counts as not reported when it is missing, null or of another type. */
export const lenient = <T extends z.ZodType>(schema: T) => schema.optional().catch(undefined);
export const list = lenient(z.array(text(256)).max(100));
export const maxConcurrencyField = lenient(z.int().min(1).max(32));
