/** The arguments of a call, as they are in its address. */
export type Args = { [name: string]: unknown };

/** The address with the arguments that it names in it, and the other arguments. TypeError: an argument cannot be part of an address. */
export function fillIn(path: string, args: Args): { address: string; others: Args } {
  const others = { ...args };
  const address = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    delete others[name];
    const value = String(args[name] ?? "");
    // Fetch takes "." and ".." for steps in the path, also when they are encoded.
    if (/^\.{0,2}$/.test(value)) throw new TypeError(`${name} is missing, or no name: ${JSON.stringify(args[name])}`);
    return encodeURIComponent(value);
  });
  return { address, others };
}

/** The query of these arguments. Several values of one have commas between them. */
export function queryOf(args: Args): string {
  const given = Object.entries(args).filter(([, value]) => value !== undefined && value !== null);
  const query = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
  return given.length > 0 ? `?${query}` : "";
}

/** The arguments that get the next page of a list, by the answer's `Link`; undefined where this is the last one. */
export function nextIn(link: string | null): { after?: string; limit?: string } | undefined {
  const [, query] = link?.match(/\?([^>]*)>; rel="next"/) ?? [];
  if (query === undefined) return undefined;
  const { after, limit } = Object.fromEntries(new URLSearchParams(query));
  return { ...(after !== undefined && { after }), ...(limit !== undefined && { limit }) };
}
