/** The console has the same states of tasks as the service, each of the same stage. */
import { expect, it } from "vitest";
import { isRequeueable, stageOf, TASK_STATUSES } from "../../src/console/parts/task-states.ts";
import { TASK_STATUSES as OF_SERVICE, REQUEUEABLE_STATUSES, stageOf as stageInService } from "../../src/db/statuses.ts";

it("has the stage of each state", () =>
  expect(TASK_STATUSES.map((status) => [status, stageOf(status)])).toEqual(
    OF_SERVICE.map((status) => [status, stageInService(status)]),
  ));

it("lets an operator queue the same states again", () =>
  expect(TASK_STATUSES.filter(isRequeueable)).toEqual(REQUEUEABLE_STATUSES));
