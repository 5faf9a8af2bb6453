/** The pages, in the order of the navigation. All but the start are loaded together, when the first of them is opened. */
import type { ComponentType } from "preact";
import type { PageProps } from "./page-props.ts";
import Now from "./pages/now.tsx";
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
  code: PageCode;
  /** The page of one of its records, where that is a page of its own. */
  recordCode?: PageCode;
}

export interface PageCode {
  /** The page's component, once it is loaded. */
  Component?: ComponentType<PageProps>;
  load(): Promise<void>;
}

/** A page other than the start. */
function later(name: keyof typeof import("./pages/loaded-together.ts")["loadedTogether"]): PageCode {
  const code: PageCode = {
    load: async () => {
      code.Component = (await import("./pages/loaded-together.ts")).loadedTogether[name];
    },
  };
  return code;
}

export const PAGES: readonly Page[] = [
  {
    path: "",
    name: "now",
    shortcut: "n",
    icon: "now",
    needs: "read",
    isMain: true,
    code: { Component: Now, load: async () => {} },
  },
  {
    path: "tasks",
    name: "tasks",
    shortcut: "t",
    icon: "tasks",
    needs: "read",
    isMain: true,
    code: later("tasks"),
    recordCode: later("task"),
  },
  {
    path: "new",
    name: "newTask",
    shortcut: "c",
    icon: "add",
    needs: "submit",
    code: later("newTask"),
  },
  {
    path: "workers",
    name: "workers",
    shortcut: "w",
    icon: "workers",
    needs: "read",
    isMain: true,
    code: later("workers"),
  },
  {
    path: "accounts",
    name: "accounts",
    shortcut: "a",
    icon: "accounts",
    needs: "read",
    isMain: true,
    code: later("accounts"),
    recordCode: later("account"),
  },
  {
    path: "audit",
    name: "audit",
    shortcut: "l",
    icon: "audit",
    needs: "read",
    code: later("audit"),
  },
  {
    path: "membridge",
    name: "membridge",
    shortcut: "m",
    icon: "membridge",
    needs: "read",
    code: later("membridge"),
  },
  {
    path: "settings",
    name: "settings",
    shortcut: "s",
    icon: "settings",
    needs: "administer",
    code: later("settings"),
  },
];

/** The page of the first part of an address behind `/console`. */
export const pageAt = (path: string): Page | undefined => PAGES.find((page) => page.path === path);

/** The code of the page, or of that of its record `id`. */
export const codeOf = ({ code, recordCode }: Page, id: string | undefined): PageCode =>
  id === undefined ? code : (recordCode ?? code);
