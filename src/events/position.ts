import { UNKNOWN_TIMELINE } from "../db/server-timeline.ts";

/**
 * A position in the order of all events: behind the entry `seq` of the transaction `xid`, and before the next. Transactions are ordered by
 * their numbers, and only those below the oldest running one are read, since all of these have ended: no event can come up in front of a
 * position that was passed. A promoted standby may lack the last transactions of the primary and use their numbers again, so a position is known
 * on its own timeline alone.
 */
export interface Position extends EntryPosition {
  timeline: number;
}

/** Where an audit entry stands among all of its timeline. */
export interface EntryPosition {
  xid: number;
  seq: number;
}

/** Below 0 when `a` is before `b`, 0 when they are the same. */
export const comparePositions = (a: Position, b: Position): number =>
  a.timeline - b.timeline || a.xid - b.xid || a.seq - b.seq;

/** The id of an event, by which a stream goes on: where it stands. */
export const positionText = ({ timeline, xid, seq }: Position): string => `${timeline}.${xid}.${seq}`;

/**
 * The position that such an id names; undefined for any other text. Earlier versions made ids without a timeline: these get `UNKNOWN_TIMELINE`,
 * so that the client is told to read anew, except on a server that does not say its timeline.
 */
export function parsePosition(text: string): Position | undefined {
  const [, timeline = UNKNOWN_TIMELINE, xid, seq] = text.match(/^(?:(\d{1,10})\.)?(\d{1,15})\.(\d{1,15})$/) ?? [];
  if (xid === undefined || seq === undefined) return undefined;
  return { timeline: Number(timeline), xid: Number(xid), seq: Number(seq) };
}
