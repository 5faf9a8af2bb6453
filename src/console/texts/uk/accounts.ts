import type { Texts } from "../keys.ts";

export const accounts: Texts["accounts"] = {
  title: "Акаунти та використання",
  none: "Ще жоден виконавець не назвав акаунта.",
  limited: "Ліміт вичерпано",
  paced: "По одному завданню",
  free: "Вільний",
  running: (count) => `виконується: ${count}`,
  resume: "Відновити",
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
