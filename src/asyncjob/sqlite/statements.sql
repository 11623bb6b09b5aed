-- Every statement of the store, by name. The schema is in migrations/.
--
-- {set}, {from} and {guard} are filled in from the transition of the same name in job.py: {set} writes the target
-- status (and the next attempt), {from} requires one of the source statuses, {guard} the job and the attempt too. If
-- they do not hold, nothing is written. {claimed} is the target of a claim, {level} is LEVEL_MS. Each other name in
-- braces stands for a part below, and {NEW.name} for the statement of that name inside a trigger, with its values in
-- columns of NEW: `:rows` in `name_rows`, and so on. A statement with {status} becomes one for each status, `name.Pending` and so on, since SQLite uses a partial index only
-- if the status is written out.
--
-- The statements that most jobs need take all rows of a transaction at once, as one JSON array of arrays. Parameters
-- and results are not in it, so they are never parsed: :texts holds them one after the other, and the last two columns
-- of a row say where its text begins, counted from 1, and how many bytes it has.

-- name: submit
-- Saves new jobs, except those whose id is taken.
-- Rows: NewJob. The first :claimed of them are also claimed, as `claim` would do later in the same transaction.
INSERT INTO job (job_id, type, status, parameters, due_at, created_at, started_at, traceparent, notify)
SELECT value ->> 0, value ->> 1, iif(key < :claimed, {claimed}, 'Pending'),
    CAST(substr(:texts, value ->> 6, value ->> 7) AS TEXT),
    iif(key < :claimed, NULL, value ->> 2), value ->> 3, iif(key < :claimed, :now, NULL), value ->> 4,
    value ->> 5
FROM json_each(:rows) WHERE true
ON CONFLICT (job_id) DO NOTHING;

-- part: place
due_at = :due_at, run_at = :run_at, pause = :pause, stage = :stage, turn = :turn

-- part: nowhere
due_at = NULL, run_at = NULL, pause = NULL, stage = NULL, turn = NULL

-- name: submit_one
-- Saves a new job that has options, or whose function has limits, unless its id is taken.
INSERT INTO job (job_id, type, status, parameters, priority, due_at, run_at, pause, stage, turn, limit_key, unique_key,
    unique_in, start_by, created_at, traceparent, notify, options)
VALUES (:job_id, :type, 'Pending', CAST(:parameters AS TEXT), :priority, :due_at, :run_at, :pause, :stage, :turn,
    :limit_key, :unique_key, :unique_in, :start_by, :created_at, :traceparent, :notify, :options)
ON CONFLICT (job_id) DO NOTHING;

-- name: waiting
-- Finds the jobs to claim next, as many as :slots and :most bytes of parameters allow.
-- Returns one row, since each costs Python time: a JSON array of the jobs, and their parameters one after the other.
SELECT
    json_group_array(json_array(job_id, attempt, type, losses, iif(due_at, due_at + priority * {level}, 0), traceparent,
        group_limit, start_by, length)),
    CAST(group_concat(parameters, '') AS BLOB)
FROM (
    SELECT *, sum(length) OVER (ORDER BY due_at, sequence ROWS UNBOUNDED PRECEDING) AS size FROM (
        SELECT *, length(CAST(parameters AS BLOB)) AS length
        FROM job WHERE due_at IS NOT NULL ORDER BY due_at, sequence LIMIT :slots
    )
) WHERE size <= :most;

-- name: expire
-- Ends a job that it is too late for. Returns its `notify`.
UPDATE job SET {set}, {nowhere}, error = :error, finished_at = :now WHERE {guard} RETURNING notify;

-- name: next_times
-- Finds the first time that a job waits for, and the last time at which a pause was set.
SELECT (SELECT min(run_at) FROM job WHERE run_at IS NOT NULL), (SELECT max(run_at - pause) FROM job WHERE pause IS NOT NULL);

-- name: due
-- Lists the jobs whose time has come.
SELECT sequence, type, priority, run_at, limit_key, job_id, attempt, group_limit, interruptions FROM job
WHERE run_at IS NOT NULL AND run_at <= :now ORDER BY run_at, sequence LIMIT :limit;

-- name: shorten_pauses
-- Begins pauses again that were set at a time that has not come: the clock was set back.
UPDATE job SET run_at = :now + pause WHERE sequence IN (
    SELECT sequence FROM job WHERE pause IS NOT NULL AND run_at - pause > :now ORDER BY run_at - pause DESC LIMIT :limit
);

-- name: keys_of
-- Finds the keys of those of these jobs that run and have one. Rows: EndedJob.
SELECT type, limit_key FROM job
WHERE job_id IN (SELECT value ->> 0 FROM json_each(:rows)) AND stage = 2 AND limit_key IS NOT NULL;

-- name: gates_of_keys
-- Lists the gates of keys that a job waits at.
SELECT DISTINCT type, limit_key FROM job WHERE stage = 0;

-- name: any_before_functions
-- Whether any job waits before the gate of its function.
SELECT EXISTS (SELECT 1 FROM job WHERE stage = 1);

-- name: before_key
-- Lists the next jobs before the gate of a key.
SELECT sequence, priority FROM job
WHERE stage = 0 AND type = :type AND limit_key = :limit_key ORDER BY turn, sequence LIMIT :limit;

-- name: past_key
-- Counts the jobs past the gate of a key, and those of them that run.
SELECT count(*), count(*) FILTER (WHERE stage = 2) FROM job
WHERE stage >= 1 AND type = :type AND limit_key = :limit_key;

-- name: pass_key
-- Lets a job past the gate of its key.
UPDATE job SET stage = 1, turn = :turn WHERE sequence = :sequence AND stage = 0;

-- name: types_at_gates
-- Lists the functions that a job waits before the gate of; one look at an index for each.
WITH RECURSIVE found (type) AS (
    SELECT min(type) FROM job WHERE stage = 1
    UNION ALL
    SELECT (SELECT min(type) FROM job WHERE stage = 1 AND type > found.type) FROM found WHERE type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL;

-- name: running_of_type
-- Counts the running jobs of a function with limits.
SELECT count(*) FROM job WHERE stage = 2 AND type = :type;

-- name: before_function
-- Lists the next jobs before the gate of a function.
SELECT turn, sequence FROM job WHERE stage = 1 AND type = :type ORDER BY turn, sequence LIMIT :limit;

-- name: head_of_queue
-- Lists the next jobs in the queue.
SELECT due_at, sequence FROM job WHERE due_at IS NOT NULL ORDER BY due_at, sequence LIMIT :limit;

-- name: chosen
-- Finds jobs to claim, as `waiting` does, given which: a JSON array of their sequence, in order.
SELECT
    json_group_array(json_array(job_id, attempt, type, losses, iif(rank, rank + priority * {level}, 0), traceparent,
        group_limit, start_by, length)),
    CAST(group_concat(parameters, '') AS BLOB)
FROM (
    SELECT *, sum(length) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) AS size FROM (
        SELECT job.*, coalesce(due_at, turn) AS rank, length(CAST(parameters AS BLOB)) AS length, chosen.key AS place
        FROM json_each(:sequences) AS chosen CROSS JOIN job ON sequence = chosen.value
        WHERE status = 'Pending' ORDER BY chosen.key
    )
) WHERE size <= :most;

-- name: with_limits
-- Finds the types and keys of those of these jobs whose functions have limits.
SELECT type, limit_key FROM job WHERE job_id IN (SELECT value FROM json_each(:job_ids)) AND stage = 2;

-- name: last_start
-- Finds the last start that was counted for a function or a key.
SELECT number, started_ms FROM start WHERE type = :type AND limit_key = :limit_key ORDER BY number DESC LIMIT 1;

-- name: set_starts_back
-- Has starts be now that were at a time that has not come: the clock was set back.
UPDATE start SET started_ms = :now WHERE type = :type AND limit_key = :limit_key AND started_ms > :now;

-- name: recent_starts
-- Counts those of some starts that are in the period that ends now.
SELECT count(*) FROM start
WHERE type = :type AND limit_key = :limit_key AND number > :after AND number <= :until AND started_ms > :since;

-- name: count_start
-- Saves a start.
INSERT INTO start (type, limit_key, number, started_ms)
SELECT :type, :limit_key, coalesce(max(number), 0) + 1, :now FROM start WHERE type = :type AND limit_key = :limit_key;

-- name: forget_start
-- Deletes the starts of a function or a key that no longer matter, since as many followed as there may be in a period.
DELETE FROM start WHERE type = :type AND limit_key = :limit_key AND number <= (
    SELECT max(number) FROM start WHERE type = :type AND limit_key = :limit_key
) - :count;

-- name: forget_starts
-- Deletes starts of any function or key that are in no period any more.
DELETE FROM start WHERE (type, limit_key, number) IN (
    SELECT type, limit_key, number FROM start WHERE started_ms < :before ORDER BY started_ms LIMIT :limit
);

-- part: opening
SELECT type, limit_key, started_ms + :period FROM start
WHERE type = :type AND limit_key = :limit_key AND started_ms + :period > :now AND number = (
    SELECT max(number) FROM start WHERE type = :type AND limit_key = :limit_key
) - :count + 1

-- name: close_key
-- Saves when the gate of a key opens, if it is closed by its rate and a job waits there.
INSERT OR REPLACE INTO gate (type, limit_key, opens_at)
{opening} AND EXISTS (SELECT 1 FROM job WHERE stage = 0 AND job.type = :type AND job.limit_key = :limit_key);

-- name: close_function
-- The same for the gate of a function.
INSERT OR REPLACE INTO gate (type, limit_key, opens_at)
{opening} AND EXISTS (SELECT 1 FROM job WHERE stage = 1 AND job.type = :type);

-- name: opened_gates
-- Lists the gates whose rate lets one more start; and those that would open too late, because the clock was set back.
SELECT type, limit_key FROM gate WHERE opens_at <= :now OR opens_at > :latest LIMIT :limit;

-- name: next_gate
-- Finds when the next gate opens.
SELECT min(opens_at) FROM gate;

-- name: forget_gate
-- Deletes a gate that has opened.
DELETE FROM gate WHERE type = :type AND limit_key = :limit_key;

-- name: forget_gates
-- Deletes all gates, when the limits may have changed.
DELETE FROM gate;

-- name: place
-- Says where a Pending job waits.
UPDATE job SET {place} WHERE sequence = :sequence AND status = 'Pending';

-- name: run_now
-- Lets a job that waits for its time be ready. A suspect waits to be admitted then; returns what it is told of with.
UPDATE job SET run_at = NULL, pause = NULL, due_at = iif(group_limit IS NULL, :due_at, NULL),
    stage = iif(group_limit IS NULL, :stage, NULL), turn = iif(group_limit IS NULL, :turn, NULL)
WHERE job_id = :job_id AND attempt = :attempt AND run_at IS NOT NULL
RETURNING group_limit, interruptions;

-- name: find_state
-- Finds what says where a job may go from where it is.
SELECT status, attempt, type, priority, run_at IS NOT NULL, stage, limit_key, unique_key, unique_in, postponements
FROM job WHERE job_id = :job_id;

-- name: claim
-- Claims jobs. Rows: as `waiting` returns them.
UPDATE job SET {set}, started_at = :now, due_at = NULL, stage = iif(stage IS NULL, NULL, 2), turn = NULL, error = NULL
WHERE job_id IN (SELECT value ->> 0 FROM json_each(:rows)) AND {from};

-- name: succeed
-- Saves results. Rows: EndedJob.
UPDATE job SET {set}, results = CAST(substr(:texts, row.value ->> 3, row.value ->> 4) AS TEXT),
    finished_at = row.value ->> 2, stage = NULL
FROM json_each(:rows) AS row
WHERE job_id = row.value ->> 0 AND attempt = row.value ->> 1 AND {from};

-- name: plain_view
-- What `plain` inserts into.
CREATE TEMP VIEW plain (submit_rows, submit_texts, submit_claimed, submit_now, submit_count,
    succeed_rows, succeed_texts, succeed_count)
AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;

-- name: plain_trigger
-- What that does. If one of the two statements writes fewer rows than it was given, nothing is saved, and the error's
-- message is its name.
CREATE TEMP TRIGGER plain_inserted INSTEAD OF INSERT ON plain BEGIN
    {NEW.succeed}
    SELECT RAISE(ROLLBACK, 'succeed') WHERE changes() <> NEW.succeed_count;
    {NEW.submit}
    SELECT RAISE(ROLLBACK, 'submit') WHERE changes() <> NEW.submit_count;
END;

-- name: plain
-- A whole transaction: saves results and new jobs, as `succeed` and `submit` do. In this order, since a job that it claims
-- cannot have ended.
INSERT OR ROLLBACK INTO plain VALUES (:submit_rows, :submit_texts, :submit_claimed, :submit_now, :submit_count,
    :succeed_rows, :succeed_texts, :succeed_count);

-- name: fail
-- Ends a job with an error. Returns its `notify`.
UPDATE job SET {set}, stage = NULL, error = :error, finished_at = :now WHERE {guard} RETURNING notify;

-- name: repeat
-- Begins the next attempt after a loss. It shows the error until then.
UPDATE job SET {set}, losses = losses + 1, group_limit = :group_limit, {place}, error = :error, started_at = NULL,
    progress = NULL
WHERE {guard};

-- name: postpone
-- Begins the next attempt later, because the function asked for it.
UPDATE job SET {set}, postponements = postponements + 1, group_limit = NULL, {place}, error = :error, started_at = NULL,
    progress = NULL
WHERE {guard};

-- name: release
-- Begins the next attempt without a loss.
UPDATE job SET {set}, interruptions = interruptions + :interrupted, group_limit = :group_limit, {place},
    started_at = NULL, progress = NULL
WHERE {guard};

-- name: explain
-- Adds an error to an earlier attempt, which the trigger attempt_ends has just saved.
UPDATE attempt SET error = :error WHERE job_id = :job_id AND attempt = :attempt;

-- name: cancel
-- Ends a job that nobody wants any more. Returns its `notify`.
UPDATE job SET {set}, {nowhere}, error = NULL, finished_at = :now WHERE {guard} RETURNING notify;

-- name: retry
-- Makes a final job as new, except for the number of its attempt.
UPDATE job SET {set}, losses = 0, interruptions = 0, postponements = 0, group_limit = NULL, {place}, started_at = NULL,
    finished_at = NULL, progress = NULL, results = NULL, error = NULL
WHERE {guard};

-- name: progress
-- Saves the progress of a running attempt.
UPDATE job SET progress = :progress WHERE job_id = :job_id AND attempt = :attempt AND status = 'Running';

-- name: admit
-- Lets a suspect be claimed.
UPDATE job SET {place}
WHERE job_id = :job_id AND attempt = :attempt AND status = 'Pending' AND group_limit IS NOT NULL;

-- name: any_to_tell
-- Whether any job with a `notify` has not ended. If none has, this is all that notifications cost.
SELECT EXISTS (SELECT 1 FROM job WHERE notify IS NOT NULL AND finished_at IS NULL);

-- name: to_tell
-- Finds those of these jobs that have a `notify` and have not ended. Rows: EndedJob.
SELECT job_id FROM job INDEXED BY job_to_tell
WHERE notify IS NOT NULL AND finished_at IS NULL AND job_id IN (SELECT value ->> 0 FROM json_each(:rows));

-- name: ended
-- Finds those of these jobs that have a `notify` and have ended.
SELECT {shown}, notify FROM job
WHERE job_id IN (SELECT value FROM json_each(:job_ids)) AND notify IS NOT NULL AND finished_at IS NOT NULL;

-- name: tell
-- Saves a new notification, due at once. Takes the fields of a Notification.
INSERT INTO delivery (delivery_id, job_id, attempt, url, receiver, body, created_ms, due_at)
VALUES (:id, :job_id, :attempt, :url, :receiver, :body, :created_ms, :created_ms);

-- part: shown
job_id, type, status, CAST(parameters AS BLOB), progress, CAST(results AS BLOB), error, attempt, priority, created_at,
    run_at, start_by, started_at, finished_at

-- name: find
-- Finds a job as GET shows it.
SELECT {shown} FROM job WHERE job_id = :job_id;

-- name: show
-- The same as JSON text, as msgspec would write it, with what else a GET needs beside it. Half of a GET was spent on turning a row
-- into objects and these into text. What is not JSON already (ids, types, statuses, times) has no character to escape.
SELECT CAST('{"jobId":"' || job_id || '","type":"' || type || '","status":"' || status || '","parameters":' || parameters
    || ifnull(',"progress":' || progress, '') || ifnull(',"results":' || results, '') || ifnull(',"error":' || error, '')
    || ',"attempt":' || attempt || iif(priority, ',"priority":' || priority, '') || ',"createdAt":"' || created_at
    || iif(run_at IS NULL, '', '","runAt":"' || strftime('%Y-%m-%dT%H:%M:%fZ', run_at / 1000.0, 'unixepoch'))
    || iif(start_by IS NULL, '', '","startBy":"' || strftime('%Y-%m-%dT%H:%M:%fZ', start_by / 1000.0, 'unixepoch'))
    || ifnull('","startedAt":"' || started_at, '')
    || ifnull('","finishedAt":"' || finished_at, '') || '"}' AS BLOB), status, created_at
FROM job WHERE job_id = :job_id;

-- name: find_status
-- Finds what guards a change of a job.
SELECT status, attempt FROM job WHERE job_id = :job_id;

-- name: find_request
-- Finds what a job was submitted with.
SELECT type, CAST(parameters AS BLOB), notify, options FROM job WHERE job_id = :job_id;

-- name: earlier_attempts
-- Lists the attempts of a job that were followed by another, beginning after number :after.
SELECT attempt, status, started_at, finished_at, error FROM attempt
WHERE job_id = :job_id AND attempt > :after ORDER BY attempt LIMIT :limit;

-- name: keep_log
-- Saves lines, those of jobs that are there. Lines: LogLine.
INSERT INTO log
SELECT line.value ->> 0, line.value ->> 1, line.value ->> 2, line.value ->> 3, line.value ->> 4, line.value ->> 5,
    line.value ->> 6, line.value ->> 7
FROM json_each(:lines) AS line
WHERE EXISTS (SELECT 1 FROM job WHERE job_id = line.value ->> 0)
ON CONFLICT DO NOTHING;

-- name: cut_log
-- Deletes the lines between two places.
DELETE FROM log WHERE job_id = :job_id
    AND (attempt, number) > (:after_attempt, :after) AND (attempt, number) < (:before_attempt, :before);

-- name: log
-- Lists lines of a job, with how many are missing before each; what was there when it was read before is not missing.
SELECT job_id, attempt, number, at, level, logger, message, traceback,
    number - 1 - max(iif(attempt = :after_attempt, :after, 0), coalesce((
        SELECT max(number) FROM log AS earlier
        WHERE earlier.job_id = log.job_id AND earlier.attempt = log.attempt AND earlier.number < log.number
    ), 0))
FROM log WHERE job_id = :job_id AND (attempt, number) > (:after_attempt, :after)
    AND (:attempt IS NULL OR attempt = :attempt) AND level >= :level
ORDER BY attempt, number LIMIT :limit;

-- name: last_line
-- Finds the number of the last line of an attempt.
SELECT coalesce(max(number), 0) FROM log WHERE job_id = :job_id AND attempt = :attempt;

-- name: count
-- Counts all jobs, and those of each status except Success. Each count reads only an index: a fiftieth of a second for
-- a million jobs.
SELECT
    (SELECT count(*) FROM job),
    (SELECT count(*) FROM job WHERE status = 'Pending'),
    (SELECT count(*) FROM job WHERE status = 'Running'),
    (SELECT count(*) FROM job WHERE status = 'Failure'),
    (SELECT count(*) FROM job WHERE status = 'Canceled');

-- name: count_of_type
-- The same for jobs of one type.
SELECT
    (SELECT count(*) FROM job WHERE type = :type),
    (SELECT count(*) FROM job INDEXED BY job_unsuccessful WHERE status = 'Pending' AND type = :type),
    (SELECT count(*) FROM job INDEXED BY job_unsuccessful WHERE status = 'Running' AND type = :type),
    (SELECT count(*) FROM job INDEXED BY job_unsuccessful WHERE status = 'Failure' AND type = :type),
    (SELECT count(*) FROM job INDEXED BY job_unsuccessful WHERE status = 'Canceled' AND type = :type);

-- name: count_jobs
-- Counts all jobs.
SELECT count(*) FROM job;

-- name: count_waiting
-- Counts the jobs that wait for a time, and all that wait.
SELECT (SELECT count(*) FROM job WHERE run_at IS NOT NULL), (SELECT count(*) FROM job WHERE status = 'Pending');

-- name: count_limited
-- Counts the jobs that wait before the gates of their functions.
SELECT (SELECT count(*) FROM job WHERE stage = 0) + (SELECT count(*) FROM job WHERE stage = 1);

-- name: count_tables
-- Counts the tables, indexes and triggers of a file. A new file has none.
SELECT count(*) FROM sqlite_schema;

-- name: list
-- Lists a range of jobs, the newest first.
SELECT {shown}, sequence FROM job WHERE sequence < :before AND sequence >= :least ORDER BY sequence DESC;

-- name: list_by_status
-- The same for jobs with one status.
SELECT {shown}, sequence FROM job
WHERE sequence < :before AND sequence >= :least AND status = {status} ORDER BY sequence DESC;

-- name: list_of_type
-- The same for jobs of one type.
SELECT {shown}, sequence FROM job
WHERE sequence < :before AND sequence >= :least AND type = :type ORDER BY sequence DESC;

-- name: list_of_type_by_status
-- The same for jobs of one type and with one status.
SELECT {shown}, sequence FROM job
WHERE sequence < :before AND sequence >= :least AND status = {status} AND type = :type ORDER BY sequence DESC;

-- name: newest
-- Finds where the next range of a listing begins.
SELECT max(sequence) FROM job WHERE sequence < :before;

-- name: newest_of_type
-- The same for jobs of one type.
SELECT max(sequence) FROM job WHERE sequence < :before AND type = :type;

-- name: running
-- Lists the jobs that run. When the server starts, these are the jobs whose server has ended.
SELECT job_id, attempt, type, losses, group_limit, interruptions FROM job WHERE status = 'Running' ORDER BY sequence;

-- name: suspects
-- Lists the waiting suspects of these types, without those that wait for a time.
SELECT job_id, attempt, group_limit, interruptions FROM job
WHERE status = 'Pending' AND group_limit IS NOT NULL AND run_at IS NULL AND type IN (SELECT value FROM json_each(:types)) ORDER BY sequence;

-- name: set_aside
-- Takes the waiting jobs of other types out of the queue and the gates.
UPDATE job SET due_at = NULL, stage = NULL, turn = NULL
WHERE status = 'Pending' AND run_at IS NULL AND type NOT IN (SELECT value FROM json_each(:types));

-- name: hold_suspects
-- Withdraws the admission of all suspects, when the server starts.
UPDATE job SET {nowhere} WHERE status = 'Pending' AND group_limit IS NOT NULL AND run_at IS NULL;

-- name: set_back
-- Makes jobs ready now that were ready at a time that has not come: the clock was set back.
UPDATE job SET due_at = :now - priority * {level} WHERE due_at IS NOT NULL AND due_at + priority * {level} > :now;

-- name: set_turns_back
-- The same before the gates.
UPDATE job SET turn = :now - priority * {level} WHERE turn IS NOT NULL AND turn + priority * {level} > :now;

-- part: sorted
status = 'Pending' AND run_at IS NULL AND group_limit IS NULL AND type IN (SELECT value FROM json_each(:types))

-- name: put_in_queue
-- Puts the waiting jobs of functions without limits into the queue.
UPDATE job SET due_at = coalesce(turn, :now - priority * {level}), stage = NULL, turn = NULL
WHERE due_at IS NULL AND {sorted};

-- name: put_before_gates
-- Puts the waiting jobs of functions with limits before their gates.
UPDATE job SET turn = coalesce(turn, due_at, :now - priority * {level}), due_at = NULL, stage = :stage WHERE {sorted};

-- part: by_other_key
type = :type AND ifnull(substr(limit_key, 1, length(:per) + 1), '') <> :per || '=' AND sequence > :after

-- name: without_key
-- Lists jobs of a function that have not ended and that no value of this parameter is known of.
SELECT sequence, CAST(parameters AS BLOB) FROM job INDEXED BY job_unsuccessful
WHERE status = 'Pending' AND {by_other_key}
UNION ALL
SELECT sequence, CAST(parameters AS BLOB) FROM job INDEXED BY job_unsuccessful
WHERE status = 'Running' AND {by_other_key}
ORDER BY sequence LIMIT 1000;

-- name: find_parameters
-- Finds the parameters of a job.
SELECT sequence, CAST(parameters AS BLOB) FROM job WHERE job_id = :job_id;

-- name: set_key
-- Saves which value of a parameter a job is counted under.
UPDATE job SET limit_key = :limit_key WHERE sequence = :sequence;

-- part: by_other_rule
type = :type AND (unique_in IS NOT :unique_in OR substr(unique_key, 1, :length) IS NOT :kind)

-- name: with_other_rule
-- Lists the jobs of a function that have not ended and that were not submitted by this rule of which are the same, the
-- newest first.
SELECT sequence FROM job INDEXED BY job_unsuccessful WHERE status = 'Pending' AND {by_other_rule}
UNION ALL
SELECT sequence FROM job INDEXED BY job_unsuccessful WHERE status = 'Running' AND {by_other_rule}
ORDER BY sequence DESC;

-- name: parameters_of
-- Finds the parameters of a job.
SELECT CAST(parameters AS BLOB) FROM job WHERE sequence = :sequence;

-- name: set_unique
-- Saves by what a job is the same as others, unless another one is that already.
UPDATE OR IGNORE job SET unique_key = :unique_key, unique_in = :unique_in WHERE sequence = :sequence;

-- name: same_waiting
-- Finds a job that is the same and has not begun, and by when it must, if it must.
SELECT job_id, start_by FROM job
WHERE unique_key = :unique_key AND unique_in = 'waiting' AND status = 'Pending' AND attempt = 1;

-- name: same_unfinished
-- Finds a job that is the same and has not ended, and by when it must begin, if it must and has not.
SELECT job_id, iif(status = 'Pending' AND attempt = 1, start_by, NULL) FROM job
WHERE unique_key = :unique_key AND unique_in = 'unfinished' AND finished_at IS NULL;

-- name: same_within
-- Finds the last job that is the same, was submitted within a time, and has not failed; the second column is that of
-- same_unfinished. After the clock was set back, one that was submitted long after now is none of these.
SELECT job_id, iif(status = 'Pending' AND attempt = 1, start_by, NULL) FROM job
WHERE unique_key = :unique_key AND unique_in = 'within' AND status IN ('Pending', 'Running', 'Success')
    AND created_at BETWEEN :since AND :until
ORDER BY created_at DESC LIMIT 1;

-- name: count_parked
-- Counts the waiting jobs of other types, by type.
SELECT type, count(*) FROM job
WHERE status = 'Pending' AND type NOT IN (SELECT value FROM json_each(:types)) GROUP BY type;

-- name: oldest
-- Lists the next jobs that a purge looks at, in the order of submission.
SELECT sequence, status, created_at, finished_at FROM job WHERE sequence > :after ORDER BY sequence LIMIT :limit;

-- name: purge
-- Deletes a final job. The triggers job_ends, job_ends_its_log and job_is_gone delete its attempts, its log and
-- its finished deliveries.
DELETE FROM job WHERE sequence = :sequence AND status IN ('Success', 'Failure', 'Canceled');

-- name: delete
-- The same, for a client.
DELETE FROM job WHERE job_id = :job_id AND attempt = :attempt AND status IN ('Success', 'Failure', 'Canceled');

-- name: deliveries
-- Lists the notifications of a job, beginning after :after.
SELECT delivery_id, attempt, url, status, tries, created_ms, due_at, finished_at, iif(status = 'Delivered', NULL, error),
    sequence
FROM delivery WHERE job_id = :job_id AND sequence > :after ORDER BY sequence LIMIT :limit;

-- name: due_deliveries
-- Lists notifications that are due, the one that was due first before the others, without those to some receivers.
SELECT delivery_id, receiver FROM delivery
WHERE status = 'Waiting' AND due_at <= :now AND receiver NOT IN (SELECT value FROM json_each(:passed))
ORDER BY due_at LIMIT :limit;

-- name: next_delivery
-- Finds when the next notification becomes due.
SELECT min(due_at) FROM delivery WHERE status = 'Waiting' AND due_at > :now;

-- name: find_delivery
-- Finds a notification that is due.
SELECT delivery_id, job_id, url, body, created_ms, tries FROM delivery
WHERE delivery_id = :delivery_id AND status = 'Waiting' AND due_at <= :now;

-- name: try_again
-- Saves that a try failed, and when to make the next one.
UPDATE delivery SET tries = :tries, error = :error, due_at = :due_at
WHERE delivery_id = :delivery_id AND status = 'Waiting';

-- name: finish_delivery
-- Saves that a notification was delivered, or given up.
UPDATE delivery SET (status, tries, finished_at, due_at, error) = (:status, :tries, :now, NULL, :error)
WHERE delivery_id = :delivery_id AND status = 'Waiting';

-- name: forget_delivery
-- Deletes a finished notification if its job is gone.
DELETE FROM delivery
WHERE delivery_id = :delivery_id AND NOT EXISTS (SELECT 1 FROM job WHERE job.job_id = delivery.job_id);

-- part: planned
schedule_id, schedule.type, cron, tz, every, CAST(schedule.parameters AS BLOB), schedule.options, missed, overlap, declared,
    created_ms, paused, next_at, handled_at, last_job_id, last_at, ifnull(job.status, last_status),
    CASE WHEN job.status IS NULL THEN last_error WHEN job.status = 'Failure' THEN job.error END

-- name: find_schedule
-- Finds a schedule, with what has become of the job that it has begun last.
SELECT {planned} FROM schedule LEFT JOIN job ON job_id = last_job_id WHERE schedule_id = :schedule_id;

-- name: schedules
-- Lists schedules, beginning after :after.
SELECT {planned}, schedule.sequence FROM schedule LEFT JOIN job ON job_id = last_job_id
WHERE schedule.sequence > :after ORDER BY schedule.sequence LIMIT :limit;

-- name: count_schedules
-- Counts the schedules.
SELECT count(*) FROM schedule;

-- name: due_schedules
-- Lists schedules of these types that are due, the one that was due first before the others.
SELECT {planned}, schedule.sequence FROM schedule LEFT JOIN job ON job_id = last_job_id
WHERE next_at <= :now AND schedule.type IN (SELECT value FROM json_each(:types)) ORDER BY next_at LIMIT :limit;

-- name: next_occurrence
-- Finds when the next of all schedules of these types is due.
SELECT next_at FROM schedule
WHERE next_at IS NOT NULL AND type IN (SELECT value FROM json_each(:types)) ORDER BY next_at LIMIT 1;

-- name: plan
-- Saves what a schedule does and when. It keeps its next occurrence if it keeps its timing, and stays paused if it is.
INSERT INTO schedule (schedule_id, type, cron, tz, every, parameters, options, missed, overlap, declared, created_ms,
    next_at)
VALUES (:schedule_id, :type, :cron, :tz, :every, CAST(:parameters AS TEXT), :options, :missed, :overlap, :declared, :now,
    :next_at)
ON CONFLICT (schedule_id) DO UPDATE SET type = excluded.type, cron = excluded.cron, tz = excluded.tz,
    every = excluded.every, parameters = excluded.parameters, options = excluded.options, missed = excluded.missed,
    overlap = excluded.overlap, declared = excluded.declared,
    next_at = CASE WHEN paused THEN NULL
        WHEN (cron, tz, every) IS (excluded.cron, excluded.tz, excluded.every) AND next_at IS NOT NULL THEN next_at
        ELSE excluded.next_at END;

-- name: find_declared
-- Finds whether the code declares a schedule.
SELECT declared FROM schedule WHERE schedule_id = :schedule_id;

-- name: forget_undeclared
-- Deletes the schedules that the code has declared and does not now.
DELETE FROM schedule WHERE declared AND schedule_id NOT IN (SELECT value FROM json_each(:declared))
RETURNING schedule_id;

-- name: forget_schedule
-- Deletes a schedule of a client.
DELETE FROM schedule WHERE schedule_id = :schedule_id AND NOT declared;

-- name: pause_schedule
-- Has a schedule begin nothing.
UPDATE schedule SET paused = 1, next_at = NULL WHERE schedule_id = :schedule_id;

-- name: resume_schedule
-- Has a paused schedule go on. One that is not paused stays as it is.
UPDATE schedule SET next_at = iif(paused, :next_at, next_at), paused = 0 WHERE schedule_id = :schedule_id;

-- name: step_schedule
-- Saves what comes next.
UPDATE schedule SET next_at = :next_at, handled_at = :handled_at
WHERE schedule_id = :schedule_id AND next_at IS :expected;

-- name: begin_scheduled
-- Saves which job was begun last.
UPDATE schedule SET last_job_id = :job_id, last_at = :at, last_status = NULL, last_error = NULL
WHERE schedule_id = :schedule_id;
