import type { Texts } from "../shape.ts";
import { detailText } from "./audit-details.ts";

export const audit: Texts["audit"] = {
  title: "Журнал",
  none: "Жоден запис не відповідає.",
  search: "Відібрати",
  time: "Коли",
  detail: "Що",
  said: detailText,
  fields: { action: "Дія", actor: "Хто", entity_id: "З чим" },
};
