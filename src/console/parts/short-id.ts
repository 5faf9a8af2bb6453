/** The end of an id, by which a person tells it from others: ids of one hour begin with the same characters. */
export const shortId = (id: string): string => id.slice(-8);
