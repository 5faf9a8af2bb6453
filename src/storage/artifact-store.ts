import type { Artifact } from "../contract/views.ts";

/** Where an output is: in PostgreSQL (`content`) or in the bucket (`url`), as the Artifact record of contract.md says. */
export type StoredOutput = Pick<Artifact, "url" | "content">;

export interface Output {
  taskId: string;
  artifactId: string;
  format: "json" | "text";
  output: string | null;
}

/** Keeps outputs. Neither call throws: a completion never fails because of the object store. */
export interface ArtifactStore {
  /** Stores the output and says where it is. No output (null) is stored nowhere. */
  put(output: Output): Promise<StoredOutput>;
  /** Takes back what `put` stored, since the completion it was for did not happen. */
  discard(stored: StoredOutput): Promise<void>;
}

/** Without an object store: the text stays in the artifact's row. */
export const inDatabase: ArtifactStore = {
  put: async ({ output }) => ({ url: null, content: output }),
  discard: async () => {},
};
