/** Small drawings. They only accompany words, so that nothing depends on them alone. */
const PATHS = {
  now: "M3 12h4l2.5-7 5 14 2.5-7h4",
  tasks: "M4 6h2M4 12h2M4 18h2M10 6h10M10 12h10M10 18h10",
  add: "M12 5v14M5 12h14",
  workers: "M4 5h16v10H4zM8 20h8M12 15v5",
  accounts: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  audit: "M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h5",
  membridge: "M5 12a3 3 0 1 0 0-.01M19 6a3 3 0 1 0 0-.01M19 18a3 3 0 1 0 0-.01M8 11l8-4M8 13l8 4",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 13l4 4L19 7",
  close: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3 2",
  keys: "M3 7h18v11H3zM7 11h.01M11 11h.01M15 11h.01M8 15h8",
  out: "M14 4h6v16h-6M4 12h11M8 8l-4 4 4 4",
  chevron: "M9 6l6 6-6 6",
  again: "M4 12a8 8 0 1 0 3-6.2M4 4v4h4",
};
export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
