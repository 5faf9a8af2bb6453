/** The record of the saved configuration, without the key in it. */
import { z } from "zod";
import { flag, time, words } from "./record-fields.ts";

export const membridgeConfigRecord = z
  .object({
    membridge_server_url: words("Where Membridge is.", "http://127.0.0.1:8000"),
    admin_key_masked: words(
      "The first and the last 4 characters of its key around `****`; empty: there is none.",
      "****",
    ),
    connected: flag("Membridge answered, and took the key."),
    last_test: time("When that was asked last.").nullable(),
    reason: words("Why it is not connected, in a sentence.").nullable(),
  })
  .meta({ id: "RuntimeConfig", description: "Where Membridge is." });
