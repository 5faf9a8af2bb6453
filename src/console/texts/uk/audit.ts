import type { Texts } from "../keys.ts";

export const audit: Texts["audit"] = {
  title: "Журнал",
  none: "Жоден запис не відповідає.",
  search: "Відібрати",
  time: "Коли",
  detail: "Що",
  fields: { action: "Дія", actor: "Хто", entity_id: "З чим" },
};
