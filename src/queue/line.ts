import type { Standing } from "./standing.ts";
import type { Audience, Kind } from "./takeable.ts";

/** Who asks for tasks, and for those of which agents; of all of them when `slugs` is empty. */
export interface Asking {
  workerId: string;
  slugs: string[];
}

/** Somebody in the line. */
export interface InLine extends Asking {
  /** As it was last known; what it can take is only guessed from that, and a claim decides. */
  standing: Standing;
}

/** Those who stand for the same tasks, the longest waiting first. */
interface Group<W> {
  labels: Set<string>;
  slugs: string[];
  members: Set<W>;
}

/** Those who wait for tasks, so that whom a new task suits is found without asking each of them. */
export class Line<W extends InLine> {
  /** Where each one stands: the lowest waits longest. */
  private readonly places = new Map<W, number>();
  private readonly groups = new Map<string, Group<W>>();
  /** The groups that ask for an agent; under null those that take the tasks of any. */
  private readonly byAgent = new Map<string | null, Set<Group<W>>>();
  private next = 0;

  get size(): number {
    return this.places.size;
  }

  has(one: W): boolean {
    return this.places.has(one);
  }

  [Symbol.iterator](): Iterator<W> {
    return this.places.keys();
  }

  /** Puts one at the end of the line, also one that stands in it already. */
  add(one: W): void {
    this.remove(one);
    this.places.set(one, this.next++);
    if (!one.standing.hasRoom) return;
    const key = keyOf(one);
    const group = this.groups.get(key) ?? this.open(key, one);
    group.members.add(one);
  }

  remove(one: W): void {
    if (!this.places.delete(one)) return;
    const key = keyOf(one);
    const group = this.groups.get(key);
    if (!group?.members.delete(one) || group.members.size > 0) return;
    this.groups.delete(key);
    for (const slug of agentsOf(group)) {
      const asking = this.byAgent.get(slug);
      asking?.delete(group);
      if (asking?.size === 0) this.byAgent.delete(slug);
    }
  }

  /** The worker of one in the line stands otherwise than was known; this puts it at the end. */
  restate(one: W, { labels, hasRoom }: Standing): void {
    this.remove(one);
    one.standing = { labels, hasRoom };
    this.add(one);
  }

  /** What has to be asked for so that everybody in the line with room hears of it; undefined when there is nobody. */
  audience(): Audience | undefined {
    if (this.groups.size === 0) return undefined;
    const labels = new Set([...this.groups.values()].flatMap((group) => [...group.labels]));
    return { labels: [...labels], slugs: this.byAgent.has(null) ? null : [...this.byAgent.keys()].filter(isNamed) };
  }

  /** Those who can take tasks of these kinds, as many as there are tasks for them, `limit` at most: the longest waiting. */
  fitting(kinds: Kind[], limit: number): W[] {
    const found = new Set<W>();
    for (const { requires, agent_slug, count } of kinds) {
      const fit = this.asking(agent_slug).filter(({ labels }) => requires.every((label) => labels.has(label)));
      const first = fit.flatMap(({ members }) => take(members, Math.min(count, limit)));
      for (const one of this.inOrder(first).slice(0, count)) found.add(one);
    }
    return this.inOrder([...found]).slice(0, limit);
  }

  private asking(slug: string): Group<W>[] {
    return [null, slug].flatMap((name) => [...(this.byAgent.get(name) ?? [])]);
  }

  private inOrder(some: W[]): W[] {
    const place = (one: W) => this.places.get(one) ?? 0;
    return some.toSorted((a, b) => place(a) - place(b));
  }

  private open(key: string, { standing, slugs }: W): Group<W> {
    const labels: string[] = JSON.parse(standing.labels);
    const group = { labels: new Set(labels), slugs, members: new Set<W>() };
    this.groups.set(key, group);
    for (const slug of agentsOf(group)) {
      const asking = this.byAgent.get(slug) ?? new Set();
      this.byAgent.set(slug, asking.add(group));
    }
    return group;
  }
}

const keyOf = ({ standing, slugs }: InLine) => JSON.stringify([standing.labels, slugs]);
const agentsOf = ({ slugs }: { slugs: string[] }) => (slugs.length > 0 ? slugs : [null]);
const isNamed = (slug: string | null) => slug !== null;

function take<T>(some: Iterable<T>, count: number): T[] {
  const taken: T[] = [];
  for (const one of some) {
    if (taken.length >= count) break;
    taken.push(one);
  }
  return taken;
}
