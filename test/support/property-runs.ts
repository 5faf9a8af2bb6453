const FACTOR = Number(process.env.PROPERTY_RUNS_FACTOR || 1);

/** How often a property is tried with other values: `usual` times, or PROPERTY_RUNS_FACTOR times as often where that is set, as for a night. */
export const propertyRuns = (usual: number): number => Math.ceil(usual * FACTOR);
