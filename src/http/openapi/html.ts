/** Pieces of a page: every text goes through `escaped`, and only these functions make tags. */

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);

/** A text in which what stands between backticks is code. */
export const prose = (text: string) => escaped(text).replace(/`([^`]*)`/g, "<code>$1</code>");

/** An element around what is HTML already. */
export function element(name: string, attributes: Record<string, string>, ...inner: string[]): string {
  const set = Object.entries(attributes).map(([attribute, value]) => ` ${attribute}="${escaped(value)}"`);
  return `<${name}${set.join("")}>${inner.join("")}</${name}>`;
}

/** A table with a heading, of rows of HTML; nothing where there are no rows. */
export function table(heading: string, columns: string[], rows: string[][]): string {
  if (rows.length === 0) return "";
  const row = (name: string) => (cells: string[]) => element("tr", {}, ...cells.map((cell) => element(name, {}, cell)));
  const body = rows.map(row("td")).join("");
  return `<h4>${escaped(heading)}</h4><div class="wide"><table>${row("th")(columns)}${body}</table></div>`;
}

export const codeBlock = (value: unknown) =>
  element("pre", {}, escaped(typeof value === "string" ? value : JSON.stringify(value, null, 2)));
