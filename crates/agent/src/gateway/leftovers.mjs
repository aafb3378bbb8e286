// Puts right what a gateway that was killed has left in OpenClaw's databases; see leftovers.rs.
// Arguments: the folder of its state. Prints how many answers and turns the next gateway takes up.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const state = process.argv.at(-1);

// Runs statements in one transaction; gives how many rows the first has changed.
function change(name, ...statements) {
    const path = join(state, name);
    if (!existsSync(path)) return 0;
    const database = new DatabaseSync(path, { timeout: 5000 });
    database.exec("begin immediate");
    const changes = statements.map((statement) => database.prepare(statement).run().changes);
    database.exec("commit");
    database.close();
    return changes[0];
}

// An answer whose sending had begun is as one that nobody has taken on: whoever did is dead.
const answers = change(
    "state/openclaw.sqlite",
    `update delivery_queue_entries
    set recovery_state = null,
        platform_send_started_at = null,
        entry_json = json_remove(entry_json, '$.recoveryState', '$.availableAt', '$.producerClaimId',
            '$.platformSendAttemptId', '$.platformSendStartedAt')
    where queue_name = 'outbound-prepared-v1'
        and status = 'pending'
        and recovery_state in ('producer_claimed', 'send_attempt_started')`,
    `delete from gateway_boot_lifecycle where completed_at_ms is null or outcome = 'startup_failed'`,
);

// A turn that is done has its answer still in hand. Where the queue has the answer by now, OpenClaw sees it.
const inHand = "$.pendingFinalDelivery.deliveries[0].state";
const turns = change(
    "agents/main/agent/openclaw-agent.sqlite",
    `update session_nodes
    set status = 'running',
        entry_json = json_replace(
            json_set(entry_json, '$.status', 'running'),
            '${inHand}',
            case entry_json ->> '${inHand}' when 'queued' then 'prepared' else entry_json ->> '${inHand}' end
        )
    where status = 'done'
        and (
            entry_json ->> '$.restartRecoveryDeliveryRunId' is not null
            or entry_json ->> '${inHand}' in ('prepared', 'queued')
        )`,
);

process.stdout.write(String(answers + turns));
