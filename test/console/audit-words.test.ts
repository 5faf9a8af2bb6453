/** The console names every action of the audit, and says the commonest details in Ukrainian. */
import { describe, expect, it } from "vitest";
import { actions } from "../../src/console/texts/en/actions.ts";
import { detailText } from "../../src/console/texts/uk/audit-details.ts";
import { type AuditAction, TYPE_OF_ACTION } from "../../src/db/audit-actions.ts";

/** Where an action has no name here, or a name has no action, this file does not compile. */
const named: Record<AuditAction, string> = actions;
const known: Record<keyof typeof actions, string> = TYPE_OF_ACTION;

describe("the words of the audit", () => {
  it("has a name for each action", () => expect(Object.keys(named).sort()).toEqual(Object.keys(known).sort()));

  it.each([
    ["Task for agent a, context b, again as task c", "Агент a, контекст b, повтор завдання c"],
    ["Task 01a2 leased to worker rpi, TTL 300s", "Виконавець rpi, на 300 с"],
    [
      "Status: error, artifact: x, duration: 44780ms, after lease y had ended",
      "Помилка, тривалість 45 с, артефакт x, після кінця оренди",
    ],
    [
      "Status: error, artifact: x, duration: 1ms, timeout: It took too long.",
      "Помилка, тривалість 0 с, артефакт x, час вийшов: It took too long.",
    ],
    [
      "Attempt 1 of 3 ended with an error, timeout; due again in 1.5 s",
      "Спроба 1 з 3 скінчилася помилкою: час вийшов; знову через 1.5 с",
    ],
    ["Attempt 1 of 1 ended with an error", "Спроба 1 з 1 скінчилася помилкою"],
    [
      "Attempt 1 of 3 ended without a result: no heartbeat before it was overdue",
      "Спроба 1 з 3 скінчилася без результату: вчасно не надійшло ознаки життя",
    ],
    [
      "Queued again, with its attempt given back: rate_limited",
      "Знову в черзі, спробу повернено: акаунт вичерпав ліміт",
    ],
    ["Cancelled while queued: not needed", "Скасовано; до того: У черзі. not needed"],
    ["Handed back unstarted, lease x: it stops", "Виконавець повернув його нерозпочатим: it stops"],
    ["Worker w gets no new work until it is resumed", "Виконавець w не отримує завдань до відновлення"],
    ["Worker w gets no new work for 1.5 min: a: b", "Виконавець w не отримує завдань 1.5 хв: a: b"],
    ["Worker w rests for 60 s: tired", "Виконавець w відпочиває 60 с: tired"],
    ["Worker w unregistered", "Worker w unregistered"],
  ])("says in Ukrainian: %s", (written, said) => expect(detailText(written)).toBe(said));
});
