/** What audit entries say was done. */

/**
 * The one table of the actions that audit entries have, with the type of the event that clients are told of each (contract/event-types.ts). An
 * action that is not in it, as in entries of the earlier service, makes an event `other`.
 */
export const TYPE_OF_ACTION = {
  task_created: "task.created",
  task_leased: "task.leased",
  // The entry of a completion is a task's end, or the end of an attempt: see events/type-of-entry.ts.
  task_completed: "task.completed",
  task_failed: "task.failed",
  task_dead: "task.dead",
  task_cancelled: "task.cancelled",
  task_cancel_requested: "task.cancel_requested",
  task_requeued: "task.requeued",
  task_released: "task.released",
  // These four are of calls that changed many tasks, each of which has an entry of its own too.
  tasks_created: "tasks.created",
  tasks_cancelled: "tasks.cancelled",
  tasks_requeued: "tasks.requeued",
  tasks_replayed: "tasks.replayed",
  late_result_kept: "task.late_result",
  lease_expired: "lease.expired",
  queue_stalled: "queue.stalled",
  worker_registered: "worker.registered",
  worker_updated: "worker.updated",
  worker_removed: "worker.removed",
  worker_online: "worker.online",
  worker_offline: "worker.offline",
  worker_drained: "worker.drained",
  worker_resumed: "worker.resumed",
  worker_rested: "worker.rested",
  agent_update: "agent.update_asked",
  agent_restart: "agent.restart_asked",
  agent_uninstall: "agent.uninstall_asked",
  account_limited: "account.limited",
  account_resumed: "account.resumed",
  artifact_damaged: "artifact.damaged",
  key_created: "key.created",
  key_revoked: "key.revoked",
  config_updated: "config.updated",
  connection_test: "config.tested",
  admin_key_encrypted: "config.encrypted",
  admin_key_reencrypted: "config.encrypted",
  settings_key_recorded: "config.key_recorded",
  tasks_removed: "retention.tasks_removed",
  audit_entries_removed: "retention.audit_removed",
  leadership_promote: "project.leader_selected",
  webhook_created: "webhook.created",
  webhook_updated: "webhook.updated",
  webhook_secret_rotated: "webhook.secret_rotated",
  webhook_removed: "webhook.removed",
  webhook_off: "webhook.off",
  webhook_failed: "webhook.failed",
  webhook_resent: "webhook.resent",
} as const;

/** What an audit entry says was done. */
export type AuditAction = keyof typeof TYPE_OF_ACTION;
