import type { Texts } from "../shape.ts";
import { plural } from "./plural.ts";

export const causes: Texts["causes"] = {
  in_state: ({ state }) => `Воно ${state.toLowerCase()}.`,
  tools_denied: ({ said }) => `Але його CLI не отримав дозволу на: ${said}.`,
  dead: ({ count, of }) => `Воно мертве після ${count} з ${of} спроб.`,
  not_started: () => "Воно мертве: його не почали вчасно.",
  said: ({ sentence }) => `Що пішло не так: ${sentence}`,
  said_nothing: () => "Спроба не сказала, що пішло не так.",
  may_be_requeued: () => "«До черги» дасть йому ще спробу.",
  may_be_replayed: () =>
    "«Повторити…» створить із нього нове завдання, з іншими лімітами, іншою моделлю чи іншим запитом.",
  held: ({ worker, since, at }) =>
    `Над ним працює виконавець ${worker}${since && ` (з ${since})`}. Якщо той більше не озветься, завдання повернеться в чергу о ${at}.`,
  cancelling: ({ worker, until }) => `Його скасовують. Виконавець ${worker} має його щонайбільше ${until}.`,
  not_due: ({ until }) => `Йому ще не час: воно чекає ${until}.`,
  same_key: ({ task }) => `Воно чекає на завдання ${task}, яке має той самий ключ одночасності й виконується.`,
  takeable: ({ count }) =>
    `${count} ${plural(count, "виконавець міг би", "виконавці могли б", "виконавців могли б")} взяти його зараз; ще жоден не просив.`,
  worker_full: ({ count, of }) => `зайнятий (${count} з ${of}) і візьме його, щойно звільниться.`,
  worker_rests: ({ reason, until }) => `відпочиває ${until}${reason}.`,
  worker_drained: ({ said, sentence, until }) => `призупинений ${until}${said && ": "}${sentence}`,
  not_takeable: () => "Зараз жоден виконавець не може його взяти.",
  no_workers: () => "Ще не зареєстровано жодного виконавця. Запустіть його там, де CLI має доступ: npm run worker.",
  labels_missing: ({ labels }) => `Жоден виконавець на зв’язку не має потрібної мітки (міток): ${labels}.`,
  labels_scattered: ({ labels }) => `Жоден виконавець на зв’язку не має всіх потрібних міток: ${labels}.`,
  account_limited: ({ account, until }) => `Акаунт ${account} вичерпав ліміт ${until}.`,
  ends_unstarted: ({ until }) => `Воно чекає щонайбільше ${until}: якщо доти ніхто не почне, стане мертвим.`,
  attempt_ended: ({ sentence }) => `Попередня спроба скінчилася: ${sentence}`,
  not_online: ({ state, since }) =>
    `${state.toLowerCase()}, ${since ? `востаннє озивався ${since}` : "ще не озивався"}`,
  no_cli: () => "не має CLI, тож отримує лише те, що просить сам",
  drained: ({ reason, until }) => `призупинений ${until}${reason}`,
  rests: ({ reason, until }) => `відпочиває ${until}${reason}`,
  account_rests: ({ account, reason, until }) => `акаунт ${account} відпочиває ${until}${reason}`,
  account_paced: ({ account }) => `акаунт ${account} отримує по одному завданню: майже всі ліміти використано`,
  kept_to: ({ worker }) => `не може його взяти: воно лише для виконавця ${worker}`,
  lacks_labels: ({ labels }) => `не має мітки (міток) ${labels}`,
  not_allowed: ({ said }) => said,
  full: ({ count, of }) => `зайнятий: ${count} з ${of}`,
  other_node: ({ node }) => `його не викликають: за його адресою відповідає вузол «${node}»`,
  left_alone: ({ count, until }) =>
    `відмовив ${count} ${plural(count, "раз", "рази", "разів")}, його не чіпають ${until}`,
};
