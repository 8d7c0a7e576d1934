-- What the writer does. Every block is one statement.

-- insert_event --
INSERT INTO event (position, execution, first_seq, events, epoch, crc) VALUES (?, ?, ?, ?, ?, ?)

-- insert_execution --
INSERT INTO execution (
    number, execution_id, flow_id, flow_version, status, started_at, ended_at, had_failures,
    metadata, recoveries, damage, is_timed, last_seq, last_crc, due, crc
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- update_execution --
-- What changes when an execution goes on. The indexes of the columns that are not set stay as they
-- are, which is why there are three of these; all take a whole row.
UPDATE execution SET
    flow_version = ?4, status = ?5, ended_at = ?7, had_failures = ?8, recoveries = ?10,
    is_timed = ?12, last_seq = ?13, last_crc = ?14, due = ?15, crc = ?16
WHERE number = ?1

-- update_recoveries --
UPDATE execution SET recoveries = ?10, crc = ?16 WHERE number = ?1

-- replace_execution --
UPDATE execution SET
    execution_id = ?2, flow_id = ?3, flow_version = ?4, status = ?5, started_at = ?6,
    ended_at = ?7, had_failures = ?8, metadata = ?9, recoveries = ?10, damage = ?11,
    is_timed = ?12, last_seq = ?13, last_crc = ?14, due = ?15, crc = ?16
WHERE number = ?1

-- insert_metadata --
INSERT OR IGNORE INTO execution_metadata (name, value, execution_id) VALUES (?, ?, ?)

-- delete_metadata --
DELETE FROM execution_metadata WHERE name = ? AND value = ? AND execution_id = ?

-- delete_all_metadata --
DELETE FROM execution_metadata

-- delete_execution --
DELETE FROM execution WHERE number = ?

-- delete_events --
DELETE FROM event WHERE execution = ?

-- delete_keys --
DELETE FROM start_key WHERE execution = ?

-- take_key --
-- Changes nothing if the key is taken, and has not expired by the time given last.
INSERT INTO start_key (scope, key, fingerprint, execution, execution_id, expires_at, crc)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (scope, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, execution = excluded.execution,
    execution_id = excluded.execution_id, expires_at = excluded.expires_at, crc = excluded.crc
WHERE start_key.expires_at <= ?8

-- insert_flow --
INSERT INTO flow (flow_id, version, digest, definition, registered_at, is_deleted, crc)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- update_flow --
UPDATE flow SET digest = ?3, definition = ?4, registered_at = ?5, is_deleted = ?6, crc = ?7
WHERE flow_id = ?1 AND version = ?2

-- insert_journal --
INSERT INTO journal (number, database_id, epoch, position, crc) VALUES (1, ?, ?, ?, ?)

-- update_journal --
UPDATE journal SET database_id = ?, epoch = ?, position = ?, crc = ? WHERE number = 1

-- pad_journal --
-- Needs new pages of the database, and room for them in its log.
UPDATE journal SET padding = zeroblob(?) WHERE number = 1

-- unpad_journal --
UPDATE journal SET padding = NULL WHERE number = 1
