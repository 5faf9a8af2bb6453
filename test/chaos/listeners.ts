/** Those who are told what happens: listeners of the events, and the receiver of a webhook. At the end, each has got all that the audit tells. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type pg from "pg";
import { createClient } from "../../src/client/client.ts";
import { type Call, untilAnswered } from "./callers.ts";
import type { Random } from "./random.ts";
import { untilNoneLeft } from "./until-none-left.ts";

/** When no more faults come, the last events may take as long as some of them are told within this time. */
const PATIENCE = { stuckAfterMs: 60_000, everyMs: 1_000 };
/** What the webhook wants: types that are made from one action each. */
const WANTED = [
  "task.created",
  "task.leased",
  "task.released",
  "task.requeued",
  "task.cancelled",
  "task.dead",
  "lease.expired",
  "worker.offline",
  "account.limited",
];
const ACTIONS = WANTED.map((type) => type.replace(".", "_"));

/** Listens on one instance, and goes on behind the last event whenever the stream is lost. */
export class Listener {
  private readonly name: string;
  private readonly url: string;
  private readonly ended = new AbortController();
  private listening: Promise<void> = Promise.resolve();
  /** How often each audit entry was told, by its number. */
  private readonly told = new Map<number, number>();
  private readonly wrong: string[] = [];

  constructor(name: string, url: string) {
    this.name = name;
    this.url = url;
  }

  /** Resolves when the stream is open. */
  start(): Promise<void> {
    const { signal } = this.ended;
    return new Promise((resolve) => {
      const onState = ({ isOpen }: { isOpen: boolean }) => void (isOpen && resolve());
      this.listening = this.listen(createClient({ url: this.url }).followEvents({}, { signal, onState }));
    });
  }

  private async listen(changes: AsyncIterable<{ type: string; id: string }>): Promise<void> {
    try {
      for await (const { type, id } of changes) {
        const seq = Number(id.split(".").at(-1));
        if (type === "reset") this.wrong.push(`was told to read all anew at ${id}`);
        else this.told.set(seq, (this.told.get(seq) ?? 0) + 1);
      }
    } catch (error) {
      this.wrong.push(`ended: ${error}`);
    }
  }

  count(): number {
    return this.told.size;
  }

  missing(seqs: number[]): number {
    return seqs.filter((seq) => !this.told.has(seq)).length;
  }

  async finish(seqs: number[]): Promise<string[]> {
    this.ended.abort();
    await this.listening;
    const missed = seqs.filter((seq) => !this.told.has(seq));
    const doubled = seqs.filter((seq) => (this.told.get(seq) ?? 0) > 1);
    if (missed.length > 0) this.wrong.push(`missed ${missed.length} events, such as that of entry ${missed[0]}`);
    if (doubled.length > 0) this.wrong.push(`got ${doubled.length} events again, such as that of entry ${doubled[0]}`);
    return this.wrong.map((sentence) => `listener ${this.name} ${sentence}`);
  }
}

/** Receives the messages of a webhook, and refuses some of them or breaks them off while faults come. */
export class Receiver {
  private readonly server: Server;
  private readonly took = new Set<string>();
  private isKind = false;

  constructor(random: Random) {
    this.server = createServer(async (request, response) => {
      let body = "";
      for await (const piece of request.setEncoding("utf8")) body += piece;
      const luck = this.isKind ? 1 : random.next();
      if (luck < 0.1) return void response.writeHead(503).end();
      if (luck < 0.2) return void response.destroy();
      this.took.add(JSON.parse(body).data.audit_id);
      response.writeHead(204).end();
    });
  }

  async start(call: Call): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/hook`;
    await untilAnswered(() => call("POST", "/webhooks", { url, events: WANTED }));
  }

  count(): number {
    return this.took.size;
  }

  beKind(): void {
    this.isKind = true;
  }

  missing(entryIds: string[]): number {
    return entryIds.filter((id) => !this.took.has(id)).length;
  }

  async finish(entryIds: string[]): Promise<string[]> {
    this.server.closeAllConnections();
    await new Promise<unknown>((resolve) => this.server.close(resolve));
    const missed = entryIds.filter((id) => !this.took.has(id));
    return missed.length > 0
      ? [`the webhook's receiver missed ${missed.length} events, such as that of entry ${missed[0]}`]
      : [];
  }
}

/** The number of the newest audit entry. */
export async function newestEntry(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ seq: number }>("select coalesce(max(seq), 0)::int as seq from audit_logs");
  return rows[0]?.seq ?? 0;
}

/** Waits until all have got what the audit tells behind the entry `from`, and says who has not. */
export async function findMissedEvents(
  client: pg.Client,
  { listeners, receiver }: { listeners: Listener[]; receiver: Receiver },
  from: number,
): Promise<string[]> {
  receiver.beKind();
  const newest = await newestEntry(client);
  const { rows } = await client.query<{ seq: number; id: string; action: string }>(
    "select seq::int as seq, id, action from audit_logs where seq > $1 and seq <= $2",
    [from, newest],
  );
  const seqs = rows.map(({ seq }) => seq);
  const entryIds = rows.filter(({ action }) => ACTIONS.includes(action)).map(({ id }) => id);
  const missing = () => listeners.reduce((sum, listener) => sum + listener.missing(seqs), receiver.missing(entryIds));
  await untilNoneLeft(missing, PATIENCE, async () => {
    // What was refused is tried again after minutes, which is longer than this run has patience for.
    await client.query(
      `update runtime_webhook_deliveries set next_at = 0
       where state = 'pending' and next_at > extract(epoch from clock_timestamp()) * 1000`,
    );
    await client.query("delete from runtime_webhook_rests");
  });
  return (await Promise.all([...listeners.map((listener) => listener.finish(seqs)), receiver.finish(entryIds)])).flat();
}
