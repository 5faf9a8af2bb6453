/** The space on the disk of DATA_DIR, which the embedded database needs. */
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { messageOf, Refusal } from "./errors.ts";
import type { Meters } from "./metrics/service-meters.ts";

/** In bytes: below `warnBelow` the space is said to be little, and below `refuseBelow` no new work is taken. */
export interface DiskLimits {
  warnBelow: number;
  refuseBelow: number;
}

export interface DiskSpace {
  freeBytes: number;
  allBytes: number;
}

/** What a service knows of the disk of its embedded database. With DATABASE_URL there is no such disk, and always enough space. */
export interface Disk {
  /** Looks anew, and logs where that is news. Gives nothing. */
  look(): Promise<void>;
  /** A sentence where little space is left; undefined where there is enough, or that is not known. */
  shortage(): Promise<string | undefined>;
  /** DiskNearlyFull: too little of the disk is free for new work. */
  requireFreeDisk(): Promise<void>;
}

/** The folder on whose disk the database is; undefined where it is on a server of its own. */
export const folderOfDatabase = ({ databaseUrl, dataDir }: Config) => (databaseUrl === undefined ? dataDir : undefined);

/** 507: what is stored is safe and can go on, but nothing new is taken until an operator has freed some of the disk. */
export class DiskNearlyFull extends Refusal {
  readonly status = 507;
}

/** The space that users other than root have, at `path` or at the folder that it will be made in. */
export async function readDiskSpace(path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(nearestFolder(path));
  return { freeBytes: bavail * bsize, allBytes: blocks * bsize };
}

function nearestFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestFolder(dirname(path));
}

/** How long a look counts: new work asks each time. */
const KEPT_MS = 1_000;
const MB = 1024 * 1024;
const inMb = (bytes: number) => `${Math.floor(bytes / MB)} MB`;

/** Watches the disk of `folder`; undefined: the database is not on a disk of this service. */
export function watchDisk(
  folder: string | undefined,
  limits: DiskLimits,
  { log, meters }: { log: Logger; meters: Meters },
): Disk {
  let known: { free: Promise<number | undefined>; until: number } | undefined;
  let lastFree: number | undefined;
  let wasLow = false;
  meters.registry.watch("disk", () => [
    {
      name: "bloom_disk_free_bytes",
      help: "Free space on the disk of the embedded database.",
      isOneFact: true,
      values: lastFree === undefined ? [] : [{ value: lastFree }],
    },
  ]);

  /** Undefined where nothing is known. A fault is logged, and refuses nothing: the database itself says when its disk is full. */
  async function read(): Promise<number | undefined> {
    if (folder === undefined) return undefined;
    try {
      lastFree = (await readDiskSpace(folder)).freeBytes;
    } catch (error) {
      lastFree = undefined;
      log.warn({ reason: messageOf(error) }, "it is not known how much space is left on the disk");
    }
    return lastFree;
  }

  function free(): Promise<number | undefined> {
    if (!known || performance.now() > known.until) known = { free: read(), until: performance.now() + KEPT_MS };
    return known.free;
  }

  async function shortage(): Promise<string | undefined> {
    const bytes = await free();
    if (bytes === undefined || bytes >= limits.warnBelow) return undefined;
    const then =
      bytes < limits.refuseBelow
        ? "New work is refused until there is more"
        : `Below ${inMb(limits.refuseBelow)}, new work is refused`;
    return `Only ${inMb(bytes)} are free on the disk of the database (DATA_DIR). ${then}.`;
  }

  return {
    shortage,
    async look() {
      const sentence = await shortage();
      if (sentence !== undefined) log.warn(sentence);
      else if (wasLow) log.info("there is enough space on the disk of the database again");
      wasLow = sentence !== undefined;
    },
    async requireFreeDisk() {
      const bytes = await free();
      if (bytes !== undefined && bytes < limits.refuseBelow)
        throw new DiskNearlyFull(
          "The disk of the database is nearly full, so that nothing new is taken; what is stored is safe, and work in hand can be completed. Free some space there, and it goes on by itself.",
        );
    },
  };
}
