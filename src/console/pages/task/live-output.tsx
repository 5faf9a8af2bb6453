/** What the task prints while it runs. */
import { useEffect, useRef, useState } from "preact/hooks";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { textOfEvents } from "./cli-events.ts";

/** The browser keeps this much of it, from the end. */
const MOST = 100_000;

export function LiveOutput({ id }: { id: string }) {
  /** The service keeps live output. */
  const [isKept, setKept] = useState(false);
  const [printed, setPrinted] = useState("");
  const text = textOfEvents(printed);
  const place = useRef<HTMLTextAreaElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    let stop: AbortController | undefined;
    let after: number | undefined;
    const look = () => {
      stop?.abort();
      if (document.hidden) return;
      stop = new AbortController();
      void follow(stop.signal);
    };
    const follow = async (signal: AbortSignal) => {
      try {
        const pieces = client.followOutput(after === undefined ? { id } : { id, after }, {
          signal,
          onState: ({ isOpen }) => isOpen && setKept(true),
        });
        for await (const piece of pieces) {
          after = piece.position;
          setPrinted((before) => (before + piece.text).slice(-MOST));
        }
      } catch {
        // Where the service keeps no live output, there is nothing to show.
      }
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      stop?.abort();
    };
  }, [id]);
  // The end stays in view, unless the reader has scrolled up.
  useEffect(() => {
    if (isAtEnd.current && place.current) place.current.scrollTop = place.current.scrollHeight;
  }, [text]);
  if (!isKept) return null;
  const { live, nothingPrinted } = texts.value.task;
  return (
    <section class="card">
      <h2>{live}</h2>
      {text === "" ? (
        <p class="soft">{nothingPrinted}</p>
      ) : (
        <textarea
          ref={place}
          class="code live"
          readOnly
          rows={12}
          aria-label={live}
          value={text}
          onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
            isAtEnd.current = scrollHeight - scrollTop - clientHeight < 40;
          }}
        />
      )}
    </section>
  );
}
