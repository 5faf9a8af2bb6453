/** The bytes of an artifact, part by part, wherever they lie. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { SlimArtifact } from "../../../client/index.ts";
import { shortId } from "../../parts/short-id.ts";
import { client } from "../../session.ts";

const PART_BYTES = 256_000;

export interface Content {
  text: string;
  /** How many bytes there still are. */
  left: number;
  fault: unknown;
  fetchMore(): void;
}

/** The begin of the artifact as text; `fetchMore` adds the next part. */
export function useContent({ id, size_bytes }: SlimArtifact): Content {
  const size = size_bytes ?? 0;
  const [held, setHeld] = useState({ text: "", bytes: 0 });
  const [fault, setFault] = useState<unknown>();
  // A character may lie across the border of two parts.
  const decoder = useRef(new TextDecoder());
  const fetchFrom = async (bytes: number, signal?: AbortSignal) => {
    if (size === 0) return;
    const headers = { Range: `bytes=${bytes}-${Math.min(size, bytes + PART_BYTES) - 1}` };
    const part = await (await client.getArtifactContent({ id }, { headers, signal })).arrayBuffer();
    const end = bytes + part.byteLength;
    const text = decoder.current.decode(part, { stream: end < size });
    setHeld((before) => ({ text: before.text + text, bytes: end }));
    setFault(undefined);
  };
  useEffect(() => {
    const stop = new AbortController();
    decoder.current = new TextDecoder();
    setHeld({ text: "", bytes: 0 });
    fetchFrom(0, stop.signal).catch((error) => stop.signal.aborted || setFault(error));
    return () => stop.abort();
  }, [id]);
  return {
    text: held.text,
    left: size - held.bytes,
    fault,
    fetchMore: () => void fetchFrom(held.bytes).catch(setFault),
  };
}

/** Saves the whole artifact as a file. The key goes in a header, which a link could not send. */
export async function saveFile({ id, type, content_type }: SlimArtifact): Promise<void> {
  const blob = await (await client.getArtifactContent({ id })).blob();
  const link = document.createElement("a");
  const address = URL.createObjectURL(blob);
  const ending = /json/.test(content_type)
    ? "json"
    : /markdown/.test(content_type)
      ? "md"
      : /^text\//.test(content_type)
        ? "txt"
        : "bin";
  link.href = address;
  link.download = `${type.toLowerCase()}-${shortId(id)}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
