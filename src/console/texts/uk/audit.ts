import type { Texts } from "../shape.ts";

export const audit: Texts["audit"] = {
  title: "Журнал",
  inItsWords: "Дії та подробиці показано так, як їх записав сервіс: англійською.",
  none: "Жоден запис не відповідає.",
  search: "Відібрати",
  time: "Коли",
  detail: "Що",
  fields: { action: "Дія", actor: "Хто", entity_id: "З чим" },
};
