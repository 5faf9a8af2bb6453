/** Where the reader is. The address holds all of it: the page, its record, and its filters. */
import { signal } from "@preact/signals";

export interface Place {
  /** The first part behind `/console`; "" is the start. */
  page: string;
  /** The record, where the page is about one. */
  id: string | undefined;
  query: URLSearchParams;
}

const BASE = "/console";

export const place = signal(placeOf(location));

/** Whether the heading of the page that was gone to has yet to get the focus. */
let isFocusDue = false;

function placeOf({ pathname, search }: { pathname: string; search: string }): Place {
  const [page = "", id] = pathname.slice(BASE.length + 1).split("/");
  return { page, id: id === undefined ? undefined : decoded(id), query: new URLSearchParams(search) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a page, with a record's id and filters. Filters that are empty are left out. */
export function addressOf(page: string, id?: string, query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  return [BASE, page, id && encodeURIComponent(id)].filter(Boolean).join("/") + search;
}

/** Goes to an address of the console. With `replace`, the way back does not lead here again. */
export function go(address: string, { replace = false }: { replace?: boolean } = {}): void {
  const samePage = new URL(address, location.origin).pathname === location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  if (!samePage) isFocusDue = true;
  place.value = placeOf(location);
  if (!samePage) scrollTo(0, 0);
}

/** Gives the heading of a page that was gone to the focus, by which a screen reader tells the new page. Called when that page is shown. */
export function focusHeading(): void {
  if (isFocusDue) document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
  isFocusDue = false;
}

/** Makes links within the console, and the browser's way back, change the place without loading a page. */
export function followLinks(): void {
  addEventListener("popstate", () => {
    place.value = placeOf(location);
  });
  addEventListener("click", (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link?.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname !== BASE && !link.pathname.startsWith(`${BASE}/`)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
