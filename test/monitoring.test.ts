/**
 * The alerts and the dashboard in `deploy/` use no metric that docs/metrics.md does not have; test/http/metrics.test.ts compares that page
 * with GET /metrics.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { familyOf } from "./support/parse-metrics.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const described = new Set(
  read("docs/metrics.md")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, name = ""]) => name)),
);
const used = (text: string) => [...text.matchAll(/\b(?:bloom|process|nodejs)_[a-z_]+\b/g)].map(([name]) => name);
const unknown = (text: string) => used(text).filter((name) => !described.has(name) && !described.has(familyOf(name)));

const hasPromtool = (() => {
  try {
    execFileSync("promtool", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

describe("what Prometheus and Grafana are given", () => {
  it("names metrics that there are", () => {
    const expressions = [...read("deploy/alerts.yml").matchAll(/expr: (.*)/g)].map(([, expression = ""]) => expression);
    expect(expressions.length).toBeGreaterThan(10);
    expect(unknown(expressions.join("\n"))).toEqual([]);
    const { panels } = JSON.parse(read("deploy/grafana.json")) as { panels: { targets: { expr: string }[] }[] };
    const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(queries.length).toBeGreaterThan(20);
    expect(unknown(queries.join("\n"))).toEqual([]);
  });

  it("has each panel at a place of its own", () => {
    const { panels } = JSON.parse(read("deploy/grafana.json")) as {
      panels: { id: number; gridPos: { x: number; y: number } }[];
    };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ gridPos: { x, y } }) => `${x} ${y}`)).size).toBe(panels.length);
  });

  it.skipIf(!hasPromtool)("has rules that promtool takes (Debian's package prometheus brings it)", () => {
    const said = execFileSync("promtool", ["check", "rules", join(ROOT, "deploy/alerts.yml")], { encoding: "utf8" });
    expect(said).toContain("SUCCESS");
  });
});
