import type { Disk } from "../disk-space.ts";
import type { Route } from "./route.ts";

/** Gives the routes. Those that store new work answer 507 while the disk is nearly full. */
export function refusingWhenFull(routes: Route[], disk: Disk): Route[] {
  return routes.map((route) => {
    if (!route.storesNewWork) return route;
    return {
      ...route,
      serve: async (request, response, db) => {
        await disk.requireFreeDisk();
        return await route.serve(request, response, db);
      },
    };
  });
}
