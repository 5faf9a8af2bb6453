/**
 * A place in the order of all events: behind the entry `seq` of the transaction `xid`, and before the next. Transactions are ordered by their numbers,
 * and only those below the oldest running one are read, since all of these have ended: no event can come up in front of a place that was passed.
 */
export interface Position {
  xid: number;
  seq: number;
}

/** Below 0 when `a` is before `b`, 0 when they are the same. */
export const comparePositions = (a: Position, b: Position): number => a.xid - b.xid || a.seq - b.seq;

/** The id of an event, by which a stream goes on: where it stands. */
export const positionText = ({ xid, seq }: Position): string => `${xid}.${seq}`;

/** The position that such an id names; undefined for any other text. */
export function parsePosition(text: string): Position | undefined {
  const [, xid, seq] = text.match(/^(\d{1,15})\.(\d{1,15})$/) ?? [];
  return xid === undefined || seq === undefined ? undefined : { xid: Number(xid), seq: Number(seq) };
}
