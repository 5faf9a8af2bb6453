import type { Texts } from "../shape.ts";
import { plural } from "./plural.ts";

export const now: Texts["now"] = {
  title: "Зараз",
  attention: "Потребує уваги",
  others: (count) => `Ще ${count}`,
  calm: "Ніщо не потребує уваги.",
  look: "Глянути",
  resume: "Відновити",
  resumed: (name) => `${name} знову отримує роботу.`,
  noLabels: (labels, tasks, age) =>
    `Жоден виконавець на зв’язку не має міток ${labels}: через це стоїть ${tasks}, найстаріше вже ${age}.`,
  drained: (workers, tasks, age) =>
    `Узяти це могли б лише призупинені виконавці (${workers}): стоїть ${tasks}, найстаріше вже ${age}.`,
  noWorker: (tasks, age) => `Жодного виконавця немає на зв’язку: через це стоїть ${tasks}, найстаріше вже ${age}.`,
  dead: (tasks, count) => `${tasks} — ${plural(count, "мертве", "мертві", "мертвих")}: усі спроби вичерпано.`,
  accountRests: (account, why, until) => `Акаунт ${account}: ${why}, ${until}.`,
  workerRests: (worker, why, until) => `Виконавець ${worker} відпочиває, ${until}: ${why}.`,
  loggedOut: (worker) => `Виконавець ${worker} вийшов зі свого LLM. Увійдіть на тій машині, тоді відновіть його.`,
  stopped: (worker, why) => `Виконавець ${worker} зупинився: ${why}. Усуньте це й запустіть його знову.`,
  lost: (worker) => `Виконавець ${worker} не на зв’язку: востаннє озивався`,
  noWorkers: "Жодного виконавця не під’єднано: нічого не виконується.",
  tiles: {
    queued: "У черзі",
    oldest: (age) => `найстаріше чекає ${age}`,
    noneDue: "жодному не час",
    running: "У роботі",
    free: (slots) => `є місце ще для ${slots}`,
    workers: "Виконавці на зв’язку",
    ofWorkers: (total) => `з ${total}`,
    ended: "Закінчено за годину",
    byMinute: "Закінчено за кожну з останніх 60 хвилин",
  },
  accounts: "Акаунти",
  atWork: (count) => `${count} у роботі`,
  noWindows: "Ще не відомо, скільки з його лімітів використано.",
  windows: { five_hour: "5 годин", seven_day: "7 днів" },
  resets: (when) => `скинеться ${when}`,
  failures: "Нещодавні невдачі",
  all: "Усі",
};
