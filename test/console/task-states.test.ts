/** The console has the same states of tasks as the service, each of the same kind. */
import { expect, it } from "vitest";
import { isRequeueable, stageOf, TASK_STATUSES } from "../../src/console/parts/task-states.ts";
import { kindOf, TASK_STATUSES as OF_SERVICE, REQUEUEABLE_STATUSES } from "../../src/db/statuses.ts";

it("has the stage of each state", () =>
  expect(TASK_STATUSES.map((status) => [status, stageOf(status)])).toEqual(
    OF_SERVICE.map((status) => [status, kindOf(status)]),
  ));

it("lets an operator queue the same states again", () =>
  expect(TASK_STATUSES.filter(isRequeueable)).toEqual(REQUEUEABLE_STATUSES));
