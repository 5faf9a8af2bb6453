import type { Texts } from "../shape.ts";
import { plural } from "./plural.ts";

export const tasksText = (count: number, shown = String(count)) =>
  `${shown} ${plural(count, "завдання", "завдання", "завдань")}`;

export const common: Texts["common"] = {
  ago: (time) => `${time} тому`,
  in: (time) => `через ${time}`,
  now: "щойно",
  units: {
    day: (shown) => `${shown} дн.`,
    hour: (shown) => `${shown} год`,
    minute: (shown) => `${shown} хв`,
    second: (shown) => `${shown} с`,
  },
  until: (clock, ahead) => `до ${clock} (${ahead})`,
  untilResumed: "доки його не відновлять",
  none: "немає",
  copy: "Копіювати",
  copied: "Скопійовано",
  cancel: "Не треба",
  close: "Закрити",
  back: "Назад",
  more: "Показати більше",
  moreOf: (size) => `Показати більше (лишилося ${size})`,
  image: (name) => `[зображення: ${name}]`,
  asText: "Як текст",
  asMarkdown: "Як Markdown",
  formatted: "З форматуванням",
  reload: "Оновити",
  loading: "Завантаження…",
  tasks: tasksText,
  notAllowed: (role) => `Ваш ключ має роль «${role}», якій це не дозволено.`,
  roleMay: {
    read: "З ним можна дивитися все й нічого не змінювати.",
    submit: "З ним можна дивитися все, створювати й повторювати завдання.",
    work: "Він лише для викликів виконавця; у цій консолі з ним нічого не можна.",
    admin: "З ним можна все.",
  },
  needsRole: {
    read: "Для цієї сторінки потрібен ключ із роллю «read», «submit» або «admin».",
    submit: "Для цієї сторінки потрібен ключ із роллю «submit» або «admin».",
    administer: "Для цієї сторінки потрібен ключ із роллю «admin».",
  },
  otherKey: "Увійти з іншим ключем",
  noAnswer: "Сервіс не відповів.",
  tooMany: (ahead) => `Забагато викликів: сервіс прийматиме їх знову через ${ahead}.`,
  limitMet: (setting, most, ahead) =>
    `Забагато викликів: ${setting} дозволяє ${most} на хвилину для однієї адреси. Сервіс прийматиме їх знову через ${ahead}.`,
  triedAgain: (when) => `Спроба повториться сама ${when}.`,
  tryAgain: "Спробувати знову",
  notLoaded: "Файли цієї сторінки не завантажилися; можливо, сервіс має нову версію. Оновіть сторінку.",
  notFoundTitle: "Тут нічого немає",
  notFoundBody: "За цією адресою немає сторінки консолі.",
  home: "На початок",
};
