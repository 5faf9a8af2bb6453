import type pg from "pg";
import { API_KEY, load } from "../load.ts";
import { type Timed, timed } from "../processor-time.ts";
import type { Side } from "./side.ts";

/** Lets so many clients work for `seconds`, after a warm-up of half of that. An iteration is a task that was completed. */
export function measure(side: Side, admin: pg.Client, clients: number, seconds: number): Promise<Timed> {
  const works = Array.from({ length: clients }, () => side.work);
  return timed(side, admin, () => load(side.base, API_KEY, works, seconds));
}

/** Throws where the clients counted more or fewer completed tasks than the side has in its database. */
export async function checkCompleted(side: Side, counted: number): Promise<void> {
  const { rows } = await side.database.client.query<{ n: number }>(side.completed);
  if (rows[0]?.n !== counted)
    throw new Error(`${side.title}: the clients completed ${counted} tasks, but its database has ${rows[0]?.n}.`);
}
