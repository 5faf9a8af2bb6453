/** The text as PostgreSQL can store it: NUL and half a surrogate pair, which JSON may escape, become U+FFFD, so that the rest is kept. */
export const storable = (text: string) => text.toWellFormed().replaceAll("\0", "\ufffd");
