import { describe, expect, it } from "vitest";
import { addUp, textOf } from "../../src/metrics/prometheus-text.ts";
import { createRegistry } from "../../src/metrics/registry.ts";

describe("the text for Prometheus", () => {
  it("has a counter with all of its known labels from the beginning, at 0, and no others", () => {
    const { counter, text } = createRegistry();
    const dead = counter("dead_total", "Tasks that died.", { cause: ["age", "error"] });
    dead.add(2, { cause: "error" });
    dead.add(1, { cause: "error" });
    expect(text([])).toBe(
      '# HELP dead_total Tasks that died.\n# TYPE dead_total counter\ndead_total{cause="age"} 0\ndead_total{cause="error"} 3\n',
    );
  });

  it("has labels that the code names once they were seen, and escapes their values", () => {
    const { counter, text } = createRegistry();
    const seen = counter("seen_total", "Seen.", { route: "named by code" });
    expect(text([])).toBe("# HELP seen_total Seen.\n# TYPE seen_total counter\n");
    seen.add(1, { route: 'a "b"\\\n' });
    expect(text([])).toContain('seen_total{route="a \\"b\\"\\\\\\n"} 1\n');
  });

  it("has a histogram's buckets as sums of all below, with what is above the last bound under +Inf", () => {
    const { histogram, text } = createRegistry();
    const took = histogram("took_seconds", "How long.", [0.1, 1], { end: ["good", "bad"] });
    for (const seconds of [0.05, 0.1, 0.5, 7]) took.observe(seconds, { end: "good" });
    expect(text([]).split("\n").slice(2, 7)).toEqual([
      'took_seconds_bucket{end="good",le="0.1"} 2',
      'took_seconds_bucket{end="good",le="1"} 3',
      'took_seconds_bucket{end="good",le="+Inf"} 4',
      'took_seconds_sum{end="good"} 7.65',
      'took_seconds_count{end="good"} 4',
    ]);
    const { histogram: plain, text: plainText } = createRegistry();
    plain("x_seconds", "X.", [1]).observe(2);
    expect(plainText([])).toContain(
      'x_seconds_bucket{le="1"} 0\nx_seconds_bucket{le="+Inf"} 1\nx_seconds_sum 2\nx_seconds_count 1\n',
    );
  });

  it("puts what several watchers say of one name together, and asks the last watcher of a key", () => {
    const { watch, text } = createRegistry();
    const open = (target: string, value: number) => () => [
      { name: "open", help: "Open.", values: [{ labels: { target }, value }] },
    ];
    watch("a", open("a", 1));
    watch("b", open("b", 1));
    watch("a", open("a", 0));
    expect(text([{ name: "up", help: "Up.", values: [{ value: Number.NaN }] }])).toBe(
      '# HELP open Open.\n# TYPE open gauge\nopen{target="a"} 0\nopen{target="b"} 1\n# HELP up Up.\n# TYPE up gauge\nup NaN\n',
    );
  });
});

describe("the numbers of several processes", () => {
  it("are added up series by series, but for what is one fact, of which the largest counts", () => {
    const told = [1, 2].map((n) => {
      const { counter, histogram, watch, families } = createRegistry();
      counter("done_total", "Done.", { by: "named by code" }).add(n, { by: n === 1 ? "a" : "b" });
      counter("all_total", "All.").add(n);
      histogram("took_seconds", "How long.", [1]).observe(n);
      watch("", () => [
        { name: "waiting", help: "Waiting.", values: [{ value: n }] },
        { name: "last_seconds", help: "When.", isOneFact: true, values: [{ value: n }] },
      ]);
      return families([]);
    });
    const lines = textOf(addUp(told.flat())).split("\n");
    expect(lines.filter((line) => line !== "" && !line.startsWith("#"))).toEqual([
      'done_total{by="a"} 1',
      'done_total{by="b"} 2',
      "all_total 3",
      'took_seconds_bucket{le="1"} 1',
      'took_seconds_bucket{le="+Inf"} 2',
      "took_seconds_sum 3",
      "took_seconds_count 2",
      "waiting 3",
      "last_seconds 2",
    ]);
  });
});
