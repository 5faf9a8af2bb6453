/** What a named key may do; each route declares which roles may call it (`access` in http/route.ts). */
export const ROLES = ["submit", "work", "read", "admin"] as const;
export type Role = (typeof ROLES)[number];
