/** The kinds of fields that records have: each takes what a reader is told of the field, and gives its schema. */
import { z } from "zod";

/** A time in epoch milliseconds, by the database's clock. */
export const time = (description: string) =>
  z.int().meta({ description: `${description} In epoch milliseconds.`, examples: [1_790_000_000_000] });

/** The UUID of a task, a lease, an artifact, a result or an audit entry. */
export const id = (description: string) =>
  z.guid().meta({ description, examples: ["0199a6f2-1c7b-7d3e-9a54-2f6b8c1d0e4a"] });

/** The name of a worker, which is its id. */
export const worker = (description: string) => z.string().meta({ description, examples: ["rpi"] });

export const words = (description: string, example?: string) =>
  z.string().meta({ description, ...(example !== undefined && { examples: [example] }) });

export const count = (description: string, example = 0) => z.int().meta({ description, examples: [example] });

export const flag = (description: string) => z.boolean().meta({ description, examples: [false] });

export const list = (description: string, ...examples: string[]) =>
  z.array(z.string()).meta({ description, examples: [examples] });

/** An object whose fields are its creator's own. */
export const anyObject = z.record(z.string(), z.unknown());
