import { coversLabels } from "../fleet/matching.ts";
import type { WorkerSnapshot } from "./changed-workers.ts";
import type { Demand, Interest } from "./newly-due.ts";

/** A worker that asks for tasks of the agents `slugs`, or of all agents when that is empty. */
export interface Seeker {
  workerId: string;
  slugs: string[];
}

/** A worker that waits in the line. */
export interface LineMember extends Seeker {
  /** What is known of the worker. It may be out of date: what the worker can take is only guessed from it, and a claim decides. */
  snapshot: WorkerSnapshot;
}

/** Members of the line that can take the same tasks, the longest waiting first. */
interface Group<W> {
  labels: Set<string>;
  slugs: string[];
  members: Set<W>;
}

/** The workers that wait for tasks, grouped so that those for a new task are found without a look at each of them. */
export class WaitingLine<W extends LineMember> {
  /** The position of each member: the lowest waits longest. */
  private readonly positions = new Map<W, number>();
  private readonly groups = new Map<string, Group<W>>();
  /** The groups that ask for an agent; under null, the groups that take the tasks of any agent. */
  private readonly bySlug = new Map<string | null, Set<Group<W>>>();
  private next = 0;

  get size(): number {
    return this.positions.size;
  }

  has(member: W): boolean {
    return this.positions.has(member);
  }

  [Symbol.iterator](): Iterator<W> {
    return this.positions.keys();
  }

  /** Puts a member at the end of the line; a member that is in the line already moves there. */
  add(member: W): void {
    this.remove(member);
    this.positions.set(member, this.next++);
    if (!member.snapshot.hasRoom) return;
    const key = keyOf(member);
    const group = this.groups.get(key) ?? this.openGroup(key, member);
    group.members.add(member);
  }

  remove(member: W): void {
    if (!this.positions.delete(member)) return;
    const key = keyOf(member);
    const group = this.groups.get(key);
    if (!group?.members.delete(member) || group.members.size > 0) return;
    this.groups.delete(key);
    for (const slug of slugsOf(group)) {
      const asking = this.bySlug.get(slug);
      asking?.delete(group);
      if (asking?.size === 0) this.bySlug.delete(slug);
    }
  }

  /** Takes a newer snapshot of the member's worker, and moves the member to the end of the line. */
  updateWorker(member: W, { labels, hasRoom }: WorkerSnapshot): void {
    this.remove(member);
    member.snapshot = { labels, hasRoom };
    this.add(member);
  }

  /** What all members with room can take together; undefined when there is no such member. */
  interest(): Interest | undefined {
    if (this.groups.size === 0) return undefined;
    const labels = new Set([...this.groups.values()].flatMap((group) => [...group.labels]));
    return { labels: [...labels], slugs: this.bySlug.has(null) ? null : [...this.bySlug.keys()].filter(isNamed) };
  }

  /** The longest waiting members that can take tasks with these demands: no more than there are tasks for them, and `limit` at most. */
  membersFor(demands: Demand[], limit: number): W[] {
    const found = new Set<W>();
    const ofWorker = this.membersOf(new Set(demands.map(({ kept_to }) => kept_to)));
    for (const { requires, agent_slug, kept_to, count } of demands) {
      const fit = this.groupsFor(agent_slug).filter(({ labels }) => coversLabels(labels, requires));
      const first = fit.flatMap(({ members }) =>
        kept_to === null
          ? take(members, Math.min(count, limit))
          : (ofWorker.get(kept_to)?.filter((member) => members.has(member)) ?? []),
      );
      for (const member of this.inOrder(first).slice(0, count)) found.add(member);
    }
    return this.inOrder([...found]).slice(0, limit);
  }

  /**
   * The waits in line that belong to these workers, found by one look: there may be 5,000 waits, and
   * 1,000 demands that are kept to a worker each.
   */
  private membersOf(workerIds: ReadonlySet<string | null>): Map<string, W[]> {
    const found = new Map<string, W[]>();
    for (const member of this.positions.keys()) {
      if (!workerIds.has(member.workerId)) continue;
      const known = found.get(member.workerId);
      if (known) known.push(member);
      else found.set(member.workerId, [member]);
    }
    return found;
  }

  private groupsFor(slug: string): Group<W>[] {
    return [null, slug].flatMap((name) => [...(this.bySlug.get(name) ?? [])]);
  }

  private inOrder(some: W[]): W[] {
    const position = (member: W) => this.positions.get(member) ?? 0;
    return some.toSorted((a, b) => position(a) - position(b));
  }

  private openGroup(key: string, { snapshot, slugs }: W): Group<W> {
    const labels: string[] = JSON.parse(snapshot.labels);
    const group = { labels: new Set(labels), slugs, members: new Set<W>() };
    this.groups.set(key, group);
    for (const slug of slugsOf(group)) {
      const asking = this.bySlug.get(slug) ?? new Set();
      this.bySlug.set(slug, asking.add(group));
    }
    return group;
  }
}

const keyOf = ({ snapshot, slugs }: LineMember) => JSON.stringify([snapshot.labels, slugs]);
const slugsOf = ({ slugs }: { slugs: string[] }) => (slugs.length > 0 ? slugs : [null]);
const isNamed = (slug: string | null) => slug !== null;

function take<T>(some: Iterable<T>, count: number): T[] {
  const taken: T[] = [];
  for (const each of some) {
    if (taken.length >= count) break;
    taken.push(each);
  }
  return taken;
}
