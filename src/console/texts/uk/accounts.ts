import type { Texts } from "../keys.ts";

export const accounts: Texts["accounts"] = {
  title: "Акаунти та використання",
  none: "Ще жоден виконавець не назвав акаунта.",
  limited: "Ліміт вичерпано",
  paced: "По одному завданню",
  free: "Вільний",
  running: (count) => `виконується: ${count}`,
  pacedUntil: (until) => `Майже всі ліміти використано: по одному завданню ${until}.`,
  resume: "Відновити",
  resumeAsk: (id) => `Відновити акаунт ${id}?`,
  resumeMeans:
    "Його виконавці відразу отримають завдання, хоча ліміт міг ще не скинутися. Завдання, яке знову впреться в ліміт, повернеться до черги, а акаунт знову відпочиватиме.",
  usage: {
    title: "Використання",
    by: "За",
    dimensions: {
      day: "днями",
      account: "акаунтами",
      agent_slug: "агентами",
      context_id: "контекстами",
      worker_id: "виконавцями",
      model: "моделями",
    },
    range: "Час",
    today: "сьогодні",
    sum: (tokens, attempts) => `токенів: ${tokens}, спроб: ${attempts}`,
    days: (days) => `останні ${days} днів`,
    none: "За цей час нічого не використано.",
    estimate: "Долари — оцінка самих CLI; за підпискою важать токени та вікна. Дні — за UTC.",
    key: "Чиє",
    attempts: "Спроби",
    tokens: "Токени",
    output: "Написано",
    dollars: "Вартість",
  },
};
