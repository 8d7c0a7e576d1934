-- The parts of the queries that list executions. `listing` puts them together; every value is bound.

-- columns --
SELECT
    e.number, e.execution_id, e.flow_id, e.flow_version, e.status, e.started_at, e.ended_at,
    e.had_failures, e.metadata, e.recoveries, e.damage, e.is_timed, e.last_seq, e.last_crc, e.due,
    e.crc

-- from_all --
FROM execution AS e INDEXED BY execution_by_id WHERE TRUE

-- from_group --
FROM execution AS e INDEXED BY execution_by_group
WHERE e.status = :status AND e.had_failures = :had_failures AND e.flow_version = :flow_version

-- from_flow --
FROM execution AS e INDEXED BY execution_by_flow
WHERE e.flow_id = :flow_id
    AND e.status = :status AND e.had_failures = :had_failures AND e.flow_version = :flow_version

-- from_untimed --
FROM execution AS e INDEXED BY execution_untimed WHERE e.is_timed = 0

-- from_metadata --
FROM execution_metadata AS m
CROSS JOIN execution AS e INDEXED BY execution_by_id ON e.execution_id = m.execution_id
WHERE m.name = :name0 AND m.value = :value0

-- is_timed --
AND e.is_timed = 1

-- before --
AND e.execution_id < :before

-- not_before --
AND e.execution_id >= :not_before

-- metadata_before --
AND m.execution_id < :before

-- metadata_not_before --
AND m.execution_id >= :not_before

-- status --
AND e.status = :status

-- flow_id --
AND e.flow_id = :flow_id

-- flow_version --
AND e.flow_version = :flow_version

-- had_failures --
AND e.had_failures = :had_failures

-- started_from --
AND e.started_at >= :started_from

-- started_before --
AND e.started_at < :started_before

-- ended_before --
AND e.ended_at < :ended_before

-- newest_first --
ORDER BY e.execution_id DESC LIMIT :limit

-- newest_metadata_first --
ORDER BY m.execution_id DESC LIMIT :limit

-- groups --
-- Every group that there is, each found from the one before it with one look at the index; with the
-- newest id that it has before :before. UNION without ALL, so that this ends even if an index is
-- damaged and leads back.
WITH RECURSIVE
    found (number) AS (
        SELECT (
            SELECT number FROM execution INDEXED BY execution_by_group
            ORDER BY status, had_failures, flow_version LIMIT 1
        )
        UNION
        SELECT coalesce(
            (
                SELECT next.number FROM execution AS next INDEXED BY execution_by_group
                WHERE next.status = this.status
                    AND next.had_failures = this.had_failures
                    AND next.flow_version > this.flow_version
                ORDER BY next.flow_version LIMIT 1
            ),
            (
                SELECT next.number FROM execution AS next INDEXED BY execution_by_group
                WHERE next.status = this.status
                    AND next.had_failures > this.had_failures
                ORDER BY next.had_failures, next.flow_version LIMIT 1
            ),
            (
                SELECT next.number FROM execution AS next INDEXED BY execution_by_group
                WHERE next.status > this.status
                ORDER BY next.status, next.had_failures, next.flow_version LIMIT 1
            )
        )
        FROM found CROSS JOIN execution AS this ON this.number = found.number
    )
SELECT this.status, this.had_failures, this.flow_version, (
    SELECT max(newest.execution_id) FROM execution AS newest INDEXED BY execution_by_group
    WHERE newest.status = this.status
        AND newest.had_failures = this.had_failures
        AND newest.flow_version = this.flow_version
        AND newest.execution_id < :before
) AS newest
FROM found CROSS JOIN execution AS this ON this.number = found.number

-- groups_of_flow --
-- The same of one flow.
WITH RECURSIVE
    found (number) AS (
        SELECT (
            SELECT number FROM execution INDEXED BY execution_by_flow
            WHERE flow_id = :flow_id ORDER BY status, had_failures, flow_version LIMIT 1
        )
        UNION
        SELECT coalesce(
            (
                SELECT next.number FROM execution AS next INDEXED BY execution_by_flow
                WHERE next.flow_id = :flow_id AND next.status = this.status
                    AND next.had_failures = this.had_failures
                    AND next.flow_version > this.flow_version
                ORDER BY next.flow_version LIMIT 1
            ),
            (
                SELECT next.number FROM execution AS next INDEXED BY execution_by_flow
                WHERE next.flow_id = :flow_id AND next.status = this.status
                    AND next.had_failures > this.had_failures
                ORDER BY next.had_failures, next.flow_version LIMIT 1
            ),
            (
                SELECT next.number FROM execution AS next INDEXED BY execution_by_flow
                WHERE next.flow_id = :flow_id AND next.status > this.status
                ORDER BY next.status, next.had_failures, next.flow_version LIMIT 1
            )
        )
        FROM found CROSS JOIN execution AS this ON this.number = found.number
    )
SELECT this.status, this.had_failures, this.flow_version, (
    SELECT max(newest.execution_id) FROM execution AS newest INDEXED BY execution_by_flow
    WHERE newest.flow_id = :flow_id AND newest.status = this.status
        AND newest.had_failures = this.had_failures
        AND newest.flow_version = this.flow_version
        AND newest.execution_id < :before
) AS newest
FROM found CROSS JOIN execution AS this ON this.number = found.number

-- metadata --
-- For a pair of metadata by its number.
AND EXISTS (
    SELECT 1 FROM execution_metadata
    WHERE name = :name{n} AND value = :value{n} AND execution_id = e.execution_id
)

-- count_metadata --
-- How many executions have a value, as far as that is of interest.
SELECT count(*) FROM (
    SELECT 1 FROM execution_metadata WHERE name = :name AND value = :value LIMIT :limit
)
