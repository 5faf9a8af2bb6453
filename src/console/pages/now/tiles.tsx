/** The work in numbers, each leading to what it counts. */
import type { ComponentChildren } from "preact";
import type { Overview } from "../../../client/index.ts";
import { HELD_STATUSES } from "../../parts/task-states.ts";
import { durationText } from "../../parts/time.tsx";
import { addressOf } from "../../router.ts";
import { shortNumber, texts } from "../../texts.ts";

export function Tiles({ counts, oldest_due_ms, slots, ended_by_minute }: Overview) {
  const words = texts.value.now.tiles;
  const { queued = 0 } = counts.tasks.by_status;
  const held = HELD_STATUSES.reduce((sum, status) => sum + (counts.tasks.by_status[status] ?? 0), 0);
  const ended = ended_by_minute.reduce((sum, each) => sum + each, 0);
  return (
    <ul class="tiles">
      <Tile name={words.queued} value={queued} address={addressOf("tasks", undefined, { status: "queued" })}>
        {oldest_due_ms > 0 ? words.oldest(durationText(oldest_due_ms)) : words.noneDue}
      </Tile>
      <Tile
        name={words.running}
        value={held}
        address={addressOf("tasks", undefined, { status: HELD_STATUSES.join(",") })}
      >
        {words.free(shortNumber(slots.free))}
      </Tile>
      <Tile name={words.workers} value={counts.workers.online} address={addressOf("workers")}>
        {words.ofWorkers(shortNumber(counts.workers.total))}
      </Tile>
      <Tile name={words.ended} value={ended} address={addressOf("tasks", undefined, { status: "completed" })}>
        <Line values={ended_by_minute} />
      </Tile>
    </ul>
  );
}

function Tile({
  name,
  value,
  address,
  children,
}: {
  name: string;
  value: number;
  address: string;
  children: ComponentChildren;
}) {
  return (
    <li>
      <a class="tile card" href={address}>
        <span class="soft">{name}</span>
        <b>{shortNumber(value)}</b>
        <span class="soft">{children}</span>
      </a>
    </li>
  );
}

const WIDTH = 180;
const HEIGHT = 28;

/** A bar for each minute. */
function Line({ values }: { values: number[] }) {
  const most = Math.max(1, ...values);
  const width = WIDTH / values.length;
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={texts.value.now.tiles.byMinute}
    >
      {values.map((value, minute) => {
        const height = value === 0 ? 1 : Math.max(2, (value / most) * HEIGHT);
        return <rect key={`${minute}`} x={minute * width} y={HEIGHT - height} width={width * 0.75} height={height} />;
      })}
    </svg>
  );
}
