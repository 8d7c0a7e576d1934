-- What is read, by the writer too. Every block is one statement.

-- journal --
SELECT database_id, epoch, position, crc FROM journal

-- last_event_position --
SELECT coalesce(max(position), 0) FROM event

-- last_execution_number --
SELECT coalesce(max(number), 0) FROM execution

-- execution --
SELECT
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
FROM execution WHERE execution_id = ?

-- execution_number --
SELECT
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
FROM execution WHERE number = ?

-- executions --
SELECT
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
FROM execution WHERE execution_id IN (SELECT value FROM json_each(?))

-- all_executions --
SELECT
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
FROM execution NOT INDEXED

-- unfinished --
SELECT
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
FROM execution
WHERE status IN ('pending', 'running', 'paused', 'quarantined', 'cancelling')
ORDER BY execution_id

-- recovered --
SELECT
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
FROM execution
WHERE status IN ('pending', 'running', 'paused', 'quarantined', 'cancelling') AND recoveries > 0

-- last_batches --
-- The last two batches of an execution, the last one first.
SELECT execution, first_seq, events, epoch, crc
FROM event WHERE execution = ? ORDER BY first_seq DESC LIMIT 2

-- batches_before --
-- The batch with an event, and the one before it; the later one first.
SELECT execution, first_seq, events, epoch, crc
FROM event WHERE execution = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 2

-- batches_after --
SELECT execution, first_seq, events, epoch, crc
FROM event WHERE execution = ? AND first_seq > ? ORDER BY first_seq LIMIT ?

-- batches_of_many --
SELECT execution, first_seq, events, epoch, crc
FROM event WHERE execution IN (SELECT value FROM json_each(?)) ORDER BY execution, first_seq

-- all_batches --
-- By position, which is the order of each execution's batches too; no index is relied on.
SELECT execution, first_seq, events, epoch, crc FROM event NOT INDEXED ORDER BY position

-- all_metadata --
SELECT name, value, execution_id FROM execution_metadata

-- start_key --
SELECT scope, key, fingerprint, execution, execution_id, expires_at, crc
FROM start_key WHERE scope = ? AND key = ?

-- waits_for --
-- Who has started an execution as a sub-flow, and has not ended.
SELECT parent.execution_id
FROM start_key JOIN execution AS parent ON parent.execution_id = start_key.scope
WHERE start_key.execution = ? AND parent.ended_at IS NULL

-- all_start_keys --
SELECT scope, key, fingerprint, execution, execution_id, expires_at, crc FROM start_key NOT INDEXED

-- flow_version --
SELECT flow_id, version, digest, definition, registered_at, is_deleted, crc
FROM flow WHERE flow_id = ? AND version = ?

-- latest_version --
SELECT flow_id, version, digest, definition, registered_at, is_deleted, crc
FROM flow WHERE flow_id = ? ORDER BY version DESC LIMIT 1

-- versions --
SELECT flow_id, version, digest, definition, registered_at, is_deleted, crc
FROM flow WHERE flow_id = ? AND version > ? ORDER BY version LIMIT ?

-- next_flow --
-- The latest version of the flow that comes behind an id.
SELECT flow_id, version, digest, definition, registered_at, is_deleted, crc
FROM flow WHERE flow_id = (SELECT min(flow_id) FROM flow WHERE flow_id > ?)
ORDER BY version DESC LIMIT 1

-- all_flows --
SELECT flow_id, version, digest, definition, registered_at, is_deleted, crc FROM flow NOT INDEXED

-- indexed_id --
-- An execution's id as the index has it: a full scan, for when the table's own is in doubt.
SELECT execution_id FROM execution INDEXED BY execution_by_id WHERE number = ?
