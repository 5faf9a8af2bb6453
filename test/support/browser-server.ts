/**
 * The browser that the test files of the console share: one for each took 0.4 s more of processor time a file. It is started when the first
 * of them asks for its address. What a file opens in it is its own.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type BrowserServer, chromium } from "playwright-core";
import type { TestProject } from "vitest/node";
import { findBrowser } from "./find-browser.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Answers with the address of the browser. */
    browserUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let browser: Promise<BrowserServer> | undefined;
  const server = createServer((_request, response) => {
    // The pages that it opens are the service's own, so it needs no sandbox, which root cannot have.
    browser ??= chromium.launchServer({ executablePath: findBrowser() ?? "", args: ["--no-sandbox"] });
    browser.then(
      (started) => response.end(started.wsEndpoint()),
      (error) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  project.provide("browserUrl", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    server.closeAllConnections();
    await (await browser)?.close();
  };
}
