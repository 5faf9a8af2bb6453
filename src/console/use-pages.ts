/** Lists that show a page at first, and one more whenever somebody asks for it. */
import { useState } from "preact/hooks";
import type { Next, Page } from "../client/index.ts";
import { type LiveData, type LiveDataOptions, useLiveData } from "./use-live-data.ts";

const PAUSE_MS = 3_000;

export interface List<Item> {
  items: Item[];
  hasMore: boolean;
}

/** The first `pages` pages of a list. */
export async function readPages<Item>(pages: number, list: (next: Next) => Promise<Page<Item>>): Promise<List<Item>> {
  const items: Item[] = [];
  let next: Next | undefined = {};
  for (let n = 0; n < pages && next; n++) {
    const page: Page<Item> = await list(next);
    items.push(...page);
    next = page.next;
  }
  return { items, hasMore: next !== undefined };
}

/** Does what `useLiveData` does, for as many pages as were asked for. With more pages, the pause between two readings is longer. */
export function usePages<Data>(
  load: (pages: number, signal: AbortSignal) => Promise<Data>,
  options: Omit<LiveDataOptions, "pauseMs">,
): LiveData<Data> & { showMore(): void } {
  const [pages, setPages] = useState(1);
  const live = useLiveData((signal) => load(pages, signal), { ...options, pauseMs: PAUSE_MS * pages });
  return { ...live, showMore: () => setPages(pages + 1) };
}
