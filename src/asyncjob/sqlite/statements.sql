-- Everything that the store says to SQLite, by name, but for its schema (migrations/).
--
-- {set}, {from} and {guard} come from the transition table in job.py, by the statement's name: {set} writes the target
-- status (and the next attempt), {from} names the statuses it may come from, {guard} the job and the attempt too. Where
-- they do not hold, nothing is written. {claimed} is the target of a claim. A statement with {status} is one for each
-- status, `name.Pending` and so on: written out, it lets SQLite use the partial index of that status. {shown} is the
-- part of that name.
--
-- The statements of a job's usual life take all rows of a transaction at once, as one JSON array of arrays. Parameters
-- and results are not in it, so that nobody parses them: :texts holds them one after the other, and the last two columns
-- of a row are where its text begins, counted from 1, and its length in bytes.

-- name: submit
-- Save new jobs; those whose id is taken are left out.
-- Rows: NewJob. The first :claimed of them are claimed as they are saved, which is what `claim` would do to them later
-- in the same transaction.
INSERT INTO job (job_id, type, status, parameters, due_at, created_at, started_at, traceparent, notify)
SELECT value ->> 0, value ->> 1, iif(key < :claimed, {claimed}, 'Pending'),
    CAST(substr(:texts, value ->> 6, value ->> 7) AS TEXT),
    iif(key < :claimed, NULL, value ->> 2), value ->> 3, iif(key < :claimed, :now, NULL), value ->> 4,
    value ->> 5
FROM json_each(:rows) WHERE true
ON CONFLICT (job_id) DO NOTHING;

-- name: waiting
-- The jobs to claim next, as many as :slots and :most bytes of parameters allow.
-- One JSON array of all, so that Python takes one row of it; their parameters, one after the other; and when the next
-- one after them is due.
SELECT
    json_group_array(json_array(job_id, attempt, type, losses, due_at, traceparent, group_limit, length)),
    CAST(group_concat(parameters, '') AS BLOB),
    (SELECT min(due_at) FROM job WHERE status = 'Pending' AND due_at > :due)
FROM (
    SELECT *, sum(length) OVER (ORDER BY due_at, sequence ROWS UNBOUNDED PRECEDING) AS size FROM (
        SELECT *, length(CAST(parameters AS BLOB)) AS length
        FROM job WHERE status = 'Pending' AND due_at <= :due ORDER BY due_at, sequence LIMIT :slots
    )
) WHERE size <= :most;

-- name: claim
-- Rows: as `waiting` returns them.
UPDATE job SET {set}, started_at = :now, due_at = NULL
WHERE job_id IN (SELECT value ->> 0 FROM json_each(:rows)) AND {from};

-- name: succeed
-- Rows: EndedJob.
UPDATE job SET {set}, results = CAST(substr(:texts, row.value ->> 3, row.value ->> 4) AS TEXT),
    finished_at = row.value ->> 2
FROM json_each(:rows) AS row
WHERE job_id = row.value ->> 0 AND attempt = row.value ->> 1 AND {from};

-- name: fail
-- Returns whom to tell.
UPDATE job SET {set}, error = :error, finished_at = :now WHERE {guard} RETURNING notify;

-- name: repeat
-- A suspect (:group_limit) is not due until it is admitted.
UPDATE job SET {set}, losses = losses + 1, group_limit = :group_limit, due_at = iif(:group_limit IS NULL, :due_at, NULL),
    started_at = NULL, progress = NULL
WHERE {guard};

-- name: release
-- A suspect (:group_limit) is not due until it is admitted.
UPDATE job SET {set}, interruptions = interruptions + :interrupted, group_limit = :group_limit,
    due_at = iif(:group_limit IS NULL, :due_at, NULL), started_at = NULL, progress = NULL
WHERE {guard};

-- name: explain
-- Why an attempt was followed by another; the trigger attempt_ends has just kept the attempt.
UPDATE attempt SET error = :error WHERE job_id = :job_id AND attempt = :attempt;

-- name: cancel
-- Returns whom to tell.
UPDATE job SET {set}, due_at = NULL, finished_at = :now WHERE {guard} RETURNING notify;

-- name: retry
-- As new, but for the number of its attempt.
UPDATE job SET {set}, losses = 0, interruptions = 0, group_limit = NULL, due_at = :due_at, started_at = NULL,
    finished_at = NULL, progress = NULL, results = NULL, error = NULL
WHERE {guard};

-- name: progress
-- How far a running attempt is.
UPDATE job SET progress = :progress WHERE job_id = :job_id AND attempt = :attempt AND status = 'Running';

-- name: admit
-- Let a suspect be claimed.
UPDATE job SET due_at = :due_at
WHERE job_id = :job_id AND attempt = :attempt AND status = 'Pending' AND group_limit IS NOT NULL;

-- name: any_to_tell
-- Whether anybody is to be told of the end of any job. Where not, that is all that jobs without `notify` cost.
SELECT EXISTS (SELECT 1 FROM job WHERE notify IS NOT NULL AND finished_at IS NULL);

-- name: to_tell
-- Of which of these jobs somebody is to be told once they end. Rows: EndedJob.
SELECT job_id FROM job INDEXED BY job_to_tell
WHERE notify IS NOT NULL AND finished_at IS NULL AND job_id IN (SELECT value ->> 0 FROM json_each(:rows));

-- name: ended
-- Of these jobs, those that have ended, and whom to tell.
SELECT {shown}, notify FROM job
WHERE job_id IN (SELECT value FROM json_each(:job_ids)) AND notify IS NOT NULL AND finished_at IS NOT NULL;

-- name: tell
-- A new notification, due at once.
INSERT INTO delivery (delivery_id, job_id, attempt, url, receiver, body, created_ms, due_at)
VALUES (:id, :job_id, :attempt, :url, :receiver, :body, :created_ms, :created_ms);

-- part: shown
job_id, type, status, CAST(parameters AS BLOB), progress, CAST(results AS BLOB), error, attempt, created_at, started_at,
    finished_at

-- name: find
-- A job as GET shows it.
SELECT {shown} FROM job WHERE job_id = :job_id;

-- name: find_status
-- What a change of a job is guarded by.
SELECT status, attempt FROM job WHERE job_id = :job_id;

-- name: find_request
-- What a job was submitted with.
SELECT type, CAST(parameters AS BLOB), notify FROM job WHERE job_id = :job_id;

-- name: earlier_attempts
-- The attempts of a job that were followed by another, from the one after :after on.
SELECT attempt, status, started_at, finished_at, error FROM attempt
WHERE job_id = :job_id AND attempt > :after ORDER BY attempt LIMIT :limit;

-- name: count
-- How many jobs there are, and how many of them of each status but Success: each from an index alone, which takes a
-- fiftieth of a second for a million jobs.
SELECT
    (SELECT count(*) FROM job),
    (SELECT count(*) FROM job WHERE status = 'Pending'),
    (SELECT count(*) FROM job WHERE status = 'Running'),
    (SELECT count(*) FROM job WHERE status = 'Failure'),
    (SELECT count(*) FROM job WHERE status = 'Canceled');

-- name: count_jobs
-- How many jobs there are.
SELECT count(*) FROM job;

-- name: count_pending
-- How many jobs wait.
SELECT count(*) FROM job WHERE status = 'Pending';

-- name: count_tables
-- How many tables, indexes and triggers a file has: a new one has none.
SELECT count(*) FROM sqlite_schema;

-- name: list
-- A part of a listing, the newest job first.
SELECT {shown}, sequence FROM job WHERE sequence < :before AND sequence >= :least ORDER BY sequence DESC;

-- name: list_by_status
-- The same, of jobs of one status.
SELECT {shown}, sequence FROM job
WHERE sequence < :before AND sequence >= :least AND status = {status} ORDER BY sequence DESC;

-- name: list_of_type
-- The same, of jobs of one type.
SELECT {shown}, sequence FROM job
WHERE sequence < :before AND sequence >= :least AND type = :type ORDER BY sequence DESC;

-- name: list_of_type_by_status
-- The same, of jobs of one type and status.
SELECT {shown}, sequence FROM job
WHERE sequence < :before AND sequence >= :least AND status = {status} AND type = :type ORDER BY sequence DESC;

-- name: newest
-- Where the next part of a listing begins.
SELECT max(sequence) FROM job WHERE sequence < :before;

-- name: newest_of_type
-- The same, of jobs of one type.
SELECT max(sequence) FROM job WHERE sequence < :before AND type = :type;

-- name: running
-- All jobs that run; at the start, those whose server has ended.
SELECT job_id, attempt, type, losses, group_limit, interruptions FROM job WHERE status = 'Running' ORDER BY sequence;

-- name: suspects
-- The suspects of these types that wait.
SELECT job_id, attempt, group_limit, interruptions FROM job
WHERE status = 'Pending' AND group_limit IS NOT NULL AND type IN (SELECT value FROM json_each(:types)) ORDER BY sequence;

-- name: park
-- Set waiting jobs of other types aside.
UPDATE job SET due_at = NULL
WHERE status = 'Pending' AND type NOT IN (SELECT value FROM json_each(:types));

-- name: unpark
-- Take up waiting jobs of these types that were set aside, or wait for a time that a wrong clock has named.
UPDATE job SET due_at = :due_at
WHERE status = 'Pending' AND group_limit IS NULL AND (due_at IS NULL OR due_at > :latest)
    AND type IN (SELECT value FROM json_each(:types));

-- name: hold_suspects
-- Take back the admission of those that were admitted when the server ended.
UPDATE job SET due_at = NULL WHERE status = 'Pending' AND group_limit IS NOT NULL;

-- name: count_parked
-- How many waiting jobs of other types are set aside, by type.
SELECT type, count(*) FROM job
WHERE status = 'Pending' AND due_at IS NULL AND type NOT IN (SELECT value FROM json_each(:types)) GROUP BY type;

-- name: oldest
-- The next jobs to look at for a purge, in the order of submission.
SELECT sequence, status, created_at, finished_at FROM job WHERE sequence > :after ORDER BY sequence LIMIT :limit;

-- name: delete
-- Only what is final; the triggers job_ends and job_is_gone delete what belongs to it.
DELETE FROM job WHERE sequence = :sequence AND status IN ('Success', 'Failure', 'Canceled');

-- name: deliveries
-- The notifications of a job, from the one after :after on.
SELECT delivery_id, attempt, url, status, tries, created_ms, due_at, finished_at, iif(status = 'Delivered', NULL, error),
    sequence
FROM delivery WHERE job_id = :job_id AND sequence > :after ORDER BY sequence LIMIT :limit;

-- name: due_deliveries
-- Notifications that are due, but for some receivers, the longest due first.
SELECT delivery_id, receiver FROM delivery
WHERE status = 'Waiting' AND due_at <= :now AND receiver NOT IN (SELECT value FROM json_each(:passed))
ORDER BY due_at LIMIT :limit;

-- name: next_delivery
-- When the next notification becomes due.
SELECT min(due_at) FROM delivery WHERE status = 'Waiting' AND due_at > :now;

-- name: find_delivery
-- A notification that is due.
SELECT delivery_id, job_id, url, body, created_ms, tries FROM delivery
WHERE delivery_id = :delivery_id AND status = 'Waiting' AND due_at <= :now;

-- name: try_again
-- A try has failed; there will be another.
UPDATE delivery SET tries = :tries, error = :error, due_at = :due_at
WHERE delivery_id = :delivery_id AND status = 'Waiting';

-- name: finish_delivery
-- Delivered, or given up.
UPDATE delivery SET (status, tries, finished_at, due_at, error) = (:status, :tries, :now, NULL, :error)
WHERE delivery_id = :delivery_id AND status = 'Waiting';

-- name: forget_delivery
-- Once it is done with, nobody asks for one whose job is gone.
DELETE FROM delivery
WHERE delivery_id = :delivery_id AND NOT EXISTS (SELECT 1 FROM job WHERE job.job_id = delivery.job_id);
