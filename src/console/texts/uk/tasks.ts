import type { Texts } from "../shape.ts";
import { plural } from "./plural.ts";

export const tasks: Texts["tasks"] = {
  title: "Завдання",
  states: "Стани",
  all: "Усі",
  attempts: "Спроби",
  choose: (id) => `Вибрати завдання ${id}`,
  fresh: (count) => `${count} ${plural(count, "нове", "нові", "нових")}`,
  noMatch: "Жодне завдання не відповідає фільтру.",
  searchOn: "Серед найновіших нічого немає. Шукати далі",
  toBeCancelled: "буде скасоване",
  due: (when) => `почнеться ${when}`,
  filter: {
    label: "Фільтр",
    placeholder: "Фільтр: status:dead agent:writer або частина назви",
    remove: (what) => `Прибрати ${what}`,
    suggestions: "Підказки",
    unknown: (name, known) =>
      `«${name}:» — не фільтр. Є такі фільтри: ${known}. Щоб шукати текст із двокрапкою, візьміть його в лапки.`,
  },
  first: {
    title: "Завдань ще немає",
    body: "Завдання — це запит для агента в певному контексті. Створіть його викликом; виконавець візьме його, і результат з’явиться тут.",
    form: "Заповнити форму",
  },
  bulk: {
    matching: "Усі, що відповідають:",
    chosen: (count) => `Вибрано ${count}:`,
    clear: "Зняти вибір",
    none: "Жодне завдання не відповідає.",
    limited: (limit) => `Відповідає більше: зараз буде змінено найстаріші ${limit}.`,
    andMore: (count) => `і ще ${count}`,
    done: (changed, refused) =>
      refused === "0" ? `Готово: ${changed}.` : `Готово: ${changed}. Уже неможливо: ${refused}.`,
    cancel: {
      name: "Скасувати",
      ask: (count) => `Скасувати ${count}?`,
      confirm: "Скасувати завдання",
      means: "Ті, що чекають, завершаться відразу; ті, що в роботі, — коли скінчиться їхня оренда. Повернути не можна.",
    },
    requeue: {
      name: "До черги",
      ask: (count) => `Повернути до черги ${count}?`,
      means: "Невдалі й мертві завдання повернуться до черги та матимуть усі спроби знову.",
    },
    replay: {
      name: "Повторити",
      ask: (count) => `Повторити ${count}?`,
      means: "З кожного буде створено нове завдання з тим самим запитом. Старі лишаться як є.",
    },
  },
};
