/** The servers of a replicated database: which of them takes changes now. */
import pg from "pg";
import { isFunctionRefused } from "./faults.ts";
import { NotWritable } from "./faults-found-here.ts";
import { serverAddresses } from "./server-addresses.ts";
import { TIMELINE, timelineNumber, UNSAID_TIMELINE } from "./server-timeline.ts";

/** A server that has vanished may not answer at all. */
const ANSWER_WITHIN_MS = 2_000;
/** After the first server that takes changes, others get this long to say that they are of a later timeline. */
const LATER_WITHIN_MS = 250;

export interface Servers {
  /** The address of the server that took changes when it was last looked for. */
  primary(): string;
  /**
   * Looks for the server that takes changes, and gives its address. Callers at the same moment share one look; the address of a single server is
   * given without one. Throws NotWritable, or why the first server could not be reached.
   */
  findPrimary(): Promise<string>;
  /** Calls `leave` each time after another server was found to take the changes: connections to the earlier one are of no more use. */
  onMove(leave: (to: Primary) => void): void;
}

/** A server that takes changes. */
interface Primary {
  address: string;
  /** Each promotion of a standby begins the next one. */
  timeline: number;
}

/** The servers that a DATABASE_URL names. Opens nothing yet. Throws InvalidAddress. */
export function openServers(url: string): Servers {
  const addresses = serverAddresses(url);
  const [first = url] = addresses;
  const leaves: ((to: Primary) => void)[] = [];
  let primary = first;
  /** The latest timeline that was seen. An earlier primary that comes back by mistake takes changes too, and would lose them again. */
  let latest = 0;
  let looking: Promise<string> | undefined;

  async function look(): Promise<string> {
    const found = await findAmong(addresses, latest);
    latest = found.timeline;
    if (found.address === primary) return primary;
    primary = found.address;
    for (const leave of leaves) leave(found);
    return primary;
  }

  return {
    primary: () => primary,
    findPrimary() {
      if (addresses.length === 1) return Promise.resolve(primary);
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return looking;
    },
    onMove: (leave) => void leaves.push(leave),
  };
}

/**
 * Asks all servers at once. Of the servers that take changes, the primary is the server with the latest timeline; a timeline earlier than `from` does
 * not count.
 */
async function findAmong(addresses: string[], from: number): Promise<Primary> {
  const answers = addresses.map((address) => askServer(address));
  const writable = await Promise.any(answers).catch(() => undefined);
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), LATER_WITHIN_MS));
  const others = writable
    ? await Promise.all(answers.map((answer) => Promise.race([answer.catch(() => undefined), late])))
    : [];
  const latest = others.filter((each) => each !== undefined).sort((a, b) => b.timeline - a.timeline)[0];
  if (latest && latest.timeline >= from) return latest;
  if (latest)
    throw new NotWritable(
      `The server at ${new URL(latest.address).host} takes changes, but is of timeline ${latest.timeline}, which ended when a standby was promoted to timeline ${from}. Make it a standby of the new primary.`,
    );
  const reasons = (await Promise.allSettled(answers)).flatMap((each) =>
    each.status === "rejected" ? [each.reason] : [],
  );
  // The answer of a standby is the better reason: it says that there is a server, and not only that the primary is away.
  throw reasons.find((reason) => reason instanceof NotWritable) ?? reasons[0];
}

async function askServer(address: string): Promise<Primary> {
  const client = new pg.Client({
    connectionString: address,
    application_name: "bloom-runtime look",
    connectionTimeoutMillis: ANSWER_WITHIN_MS,
    query_timeout: ANSWER_WITHIN_MS,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    const ask = (timeline: string) => client.query<{ timeline: string | null }>(writable(timeline));
    const { rows } = await ask(TIMELINE).catch((error) => {
      // Without a timeline, the first server that takes changes is the primary: the provider sees to it that there is one.
      if (isFunctionRefused(error)) return ask(UNSAID_TIMELINE);
      throw error;
    });
    const timeline = rows[0]?.timeline ?? null;
    if (timeline === null) throw new NotWritable();
    return { address, timeline: timelineNumber(timeline) };
  } finally {
    client.connection.stream.destroy();
  }
}

const writable = (timeline: string) =>
  `select case when current_setting('transaction_read_only') = 'off' then ${timeline} end as timeline`;
