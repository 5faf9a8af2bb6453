/** The commonest sentences of audit entries in Ukrainian, by how the service writes them. Any other one stays as it was written. */
import { states } from "./states.ts";

/** Words that the service writes in a sentence, such as a state; an unknown word stays as it is. */
const WORDS: Record<string, string> = {
  ...states.result,
  ...states.kind,
  ...states.worker,
  ...states.task,
  "no heartbeat before it was overdue": "вчасно не надійшло ознаки життя",
};
const word = (written: string) => WORDS[written] ?? written;
const because = (reason: string | undefined) => (reason ? `: ${reason}` : "");

/** What stands behind the duration of a completion: that its lease had ended, or an error's kind and message. */
const moreOf = (written: string) =>
  /^after lease \S+ had ended$/.test(written) ? "після кінця оренди" : written.replace(/^\w+(?=: |$)/, word);

type Part = string | undefined;
/** The parts are those in the pattern's parentheses; undefined where the sentence does not have one. */
const SENTENCES: [pattern: RegExp, say: (a: string, b: string, c: Part, d: Part) => string][] = [
  [
    /^Task for agent (.+), context (.+?)(?:, again as task (\S+))?$/s,
    (agent, context, of) => `Агент ${agent}, контекст ${context}${of ? `, повтор завдання ${of}` : ""}`,
  ],
  [/^Task \S+ leased to worker (.+), TTL (\d+)s$/, (worker, seconds) => `Виконавець ${worker}, на ${seconds} с`],
  [
    /^Status: (\w+), artifact: (\S+), duration: (\d+)ms(?:, (.+))?$/s,
    (status, artifact, ms, more) =>
      `${word(status)}, тривалість ${Math.round(Number(ms) / 1_000)} с, артефакт ${artifact}${more ? `, ${moreOf(more)}` : ""}`,
  ],
  [
    /^Attempt (\d+) of (\d+) ended with an error(?:, (\w+))?(?:; due again in ([\d.]+) s)?$/,
    (attempt, of, kind, seconds) =>
      `Спроба ${attempt} з ${of} скінчилася помилкою${because(kind && word(kind))}${seconds ? `; знову через ${seconds} с` : ""}`,
  ],
  [
    /^Attempt (\d+) of (\d+) ended without a result: (.+)$/s,
    (attempt, of, reason = "") => `Спроба ${attempt} з ${of} скінчилася без результату: ${word(reason)}`,
  ],
  [
    /^Lease of task \S+ to worker (.+) ended: (.+)$/s,
    (worker, reason) => `Оренда у виконавця ${worker} скінчилася: ${word(reason)}`,
  ],
  [/^Queued again, with its attempt given back: (\w+)$/, (kind) => `Знову в черзі, спробу повернено: ${word(kind)}`],
  [/^Requeued from (\w+)$/, (state) => `Знову в черзі; до того: ${word(state)}`],
  [
    /^Cancelled while (\w+)(?:: (.+))?$/s,
    (state, reason) => `Скасовано; до того: ${word(state)}${reason ? `. ${reason}` : ""}`,
  ],
  [
    /^Handed back (unstarted|after it was started), lease \S+?(?:: (.+))?$/s,
    (when, reason) =>
      `Виконавець повернув його ${when === "unstarted" ? "нерозпочатим" : "розпочатим"}${because(reason)}`,
  ],
  [
    /^Nobody has taken it for (\d+) s, though it is due$/,
    (seconds) => `Його ніхто не бере вже ${seconds} с, хоча час настав`,
  ],
  [
    /^Worker (.+) registered, status=(\w+), max_concurrency=(\d+)/,
    (worker, state, slots) => `Виконавець ${worker}: ${word(state)}, завдань одночасно: ${slots}`,
  ],
  [
    /^Worker (.+) was \w+ and gave no sign of life for (\d+) s$/,
    (worker, seconds) => `Виконавець ${worker} не подавав ознак життя ${seconds} с`,
  ],
  [/^Worker (.+) was \w+ and is online: (.+)$/s, (worker, sign) => `Виконавець ${worker} знову на зв’язку: ${sign}`],
  [
    /^Worker (.+?) gets no new work (for [\d.]+ min|until it is resumed)(?:: (.+))?$/s,
    (worker, how, reason) =>
      `Виконавець ${worker} не отримує завдань ${how.startsWith("for") ? `${how.slice(4, -4)} хв` : "до відновлення"}${because(reason)}`,
  ],
  [/^Worker (.+) gets work again$/, (worker) => `Виконавець ${worker} знову отримує завдання`],
  [
    /^Worker (.+?) rests (for \d+ s|until it registers anew): (.+)$/s,
    (worker, how, reason = "") =>
      `Виконавець ${worker} відпочиває ${how.startsWith("for") ? `${how.slice(4, -2)} с` : "до нової реєстрації"}: ${reason}`,
  ],
  [
    /^Account (.+?) rests until (\S+): (.+)$/s,
    (account, until, reason) => `Акаунт ${account} відпочиває до ${until}: ${reason}`,
  ],
  [/^Role: (\w+)$/, (role) => `Роль: ${role}`],
];

export function detailText(sentence: string): string {
  for (const [pattern, say] of SENTENCES) {
    const [, a = "", b = "", c, d] = pattern.exec(sentence) ?? [undefined];
    if (a !== "") return say(a, b, c, d);
  }
  return sentence;
}
