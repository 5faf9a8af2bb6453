/** What every page is given. */
export interface PageProps {
  /** The record that the page is about, where its address names one. */
  id: string | undefined;
}
