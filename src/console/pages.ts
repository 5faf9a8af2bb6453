/** The pages, in the order of the navigation. Each is loaded when it is opened first, some of them together. */
import type { ComponentType } from "preact";
import type { PageProps } from "./page-props.ts";
import type { IconName } from "./parts/icon.tsx";
import type { Texts } from "./texts.ts";

export interface Page {
  /** The first part of its address behind `/console`. */
  path: string;
  /** Its name in the navigation, and the key that opens it after `g`. */
  name: keyof Texts["shell"]["pages"];
  shortcut: string;
  icon: IconName;
  /** Only keys that may do this see it in the navigation. */
  needs: "read" | "submit" | "administer";
  /** On a phone it stands in the bar at the bottom; the others stand behind "More". */
  isMain?: boolean;
  load(): Promise<{ default: ComponentType<PageProps> }>;
  /** The page of one of its records, where that is a page of its own. */
  loadRecord?(): Promise<{ default: ComponentType<PageProps> }>;
}

/** A page that is neither the start nor about tasks. */
const other = async (name: keyof typeof import("./pages/loaded-together.ts")["loadedTogether"]) => {
  const { loadedTogether } = await import("./pages/loaded-together.ts");
  return { default: loadedTogether[name] };
};

export const PAGES: readonly Page[] = [
  {
    path: "",
    name: "now",
    shortcut: "n",
    icon: "now",
    needs: "read",
    isMain: true,
    load: () => import("./pages/now.tsx"),
  },
  {
    path: "tasks",
    name: "tasks",
    shortcut: "t",
    icon: "tasks",
    needs: "read",
    isMain: true,
    load: () => import("./pages/tasks.tsx"),
    loadRecord: () => import("./pages/task.tsx"),
  },
  {
    path: "new",
    name: "newTask",
    shortcut: "c",
    icon: "add",
    needs: "submit",
    load: () => other("newTask"),
  },
  {
    path: "workers",
    name: "workers",
    shortcut: "w",
    icon: "workers",
    needs: "read",
    isMain: true,
    load: () => other("workers"),
  },
  {
    path: "accounts",
    name: "accounts",
    shortcut: "a",
    icon: "accounts",
    needs: "read",
    isMain: true,
    load: () => other("accounts"),
    loadRecord: () => other("account"),
  },
  {
    path: "audit",
    name: "audit",
    shortcut: "l",
    icon: "audit",
    needs: "read",
    load: () => other("audit"),
  },
  {
    path: "membridge",
    name: "membridge",
    shortcut: "m",
    icon: "membridge",
    needs: "read",
    load: () => other("membridge"),
  },
  {
    path: "settings",
    name: "settings",
    shortcut: "s",
    icon: "settings",
    needs: "administer",
    load: () => other("settings"),
  },
];

/** The page of the first part of an address behind `/console`. */
export const pageAt = (path: string): Page | undefined => PAGES.find((page) => page.path === path);

/** What loads the page, or that of its record `id`. */
export const loaderOf = ({ load, loadRecord }: Page, id: string | undefined): Page["load"] =>
  id === undefined ? load : (loadRecord ?? load);
