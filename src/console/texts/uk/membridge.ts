import type { Texts } from "../shape.ts";

export const membridge: Texts["membridge"] = {
  title: "Membridge",
  lead: "Його проєкти та вузол, який веде кожен. Membridge викликає сервіс; його ключ ніколи не потрапляє на цю сторінку.",
  none: "У Membridge немає проєктів.",
  nodes: "Вузли",
  noNodes: "Жодного вузла не відомо.",
  primary: "головний",
  seen: "озивався",
  promote: "Зробити головним",
  ask: (node, project) => `Зробити ${node} головним у ${project}?`,
  means: "Membridge передає йому провід над пам’яттю проєкту.",
  promoted: (node, project) => `${node} тепер головний у ${project}.`,
};
