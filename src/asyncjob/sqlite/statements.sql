-- Everything that this engine says to SQLite, by name.
--
-- {set}, {from} and {guard} are filled from the transition table in job.py, by the statement's name: {set} writes the
-- target status (and the next attempt), {from} names the statuses it may come from, {guard} the job and the attempt
-- too. Where they do not hold, nothing is written. {claimed} is the target of a claim.
--
-- The statements of a job's usual life take all rows of a transaction at once, as one JSON array of arrays. Parameters
-- and results are not in it, so that nobody parses them: :texts holds them one after the other, and the last two columns
-- of a row are where its text begins, counted from 1, and its length.

-- name: schema_1
CREATE TABLE job (
    sequence    INTEGER PRIMARY KEY,            -- order of submission; the cursor of a listing
    job_id      TEXT NOT NULL UNIQUE,           -- the client's id, or ours
    type        TEXT NOT NULL,                  -- the job function's name
    status      TEXT NOT NULL CHECK (status IN ('Pending', 'Running', 'Success', 'Failure', 'Canceled')),
    parameters  TEXT NOT NULL,                  -- a JSON object, as it was submitted
    progress    TEXT,                           -- {"fraction", "message"?}, of the current attempt
    results     TEXT,                           -- any JSON value
    error       TEXT,                           -- {"type", "message"}
    attempt     INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    losses      INTEGER NOT NULL DEFAULT 0 CHECK (losses >= 0),  -- attempts that counted against retries
    due_at      INTEGER,                        -- while Pending: not before, in milliseconds since 1970; null: parked
    created_at  TEXT NOT NULL,
    started_at  TEXT,                           -- of the current attempt
    finished_at TEXT,
    CHECK ((status = 'Success') = (results IS NOT NULL)),
    CHECK ((status = 'Failure') = (error IS NOT NULL)),
    CHECK ((status IN ('Success', 'Failure', 'Canceled')) = (finished_at IS NOT NULL)),
    CHECK (status NOT IN ('Running', 'Success', 'Failure') OR started_at IS NOT NULL),
    CHECK (status <> 'Pending' OR (started_at IS NULL AND progress IS NULL)),
    CHECK (status = 'Pending' OR due_at IS NULL)
) STRICT;
-- Most jobs end as Success and stay for long: the partial indexes keep them out, and are as small with millions of
-- finished jobs as with none.
CREATE INDEX job_waiting ON job (due_at, sequence) WHERE status = 'Pending';
CREATE INDEX job_unsuccessful ON job (status, sequence)  -- with OR, since SQLite does not see that = implies IN
    WHERE status = 'Pending' OR status = 'Running' OR status = 'Failure' OR status = 'Canceled';
CREATE INDEX job_type ON job (type, sequence);

-- name: schema_2
ALTER TABLE job ADD COLUMN traceparent TEXT;    -- of the trace that the job belongs to, as W3C Trace Context writes it

-- name: schema_3
-- The attempts that were followed by another. A job that succeeds at once writes nothing here, and no statement of its
-- life names the column that the first trigger waits for.
CREATE TABLE attempt (
    job_id      TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    status      TEXT NOT NULL,  -- how it ended: a final status, or Pending where it was put back
    started_at  TEXT,           -- null: it was canceled while it waited
    finished_at TEXT NOT NULL,
    error       TEXT,           -- {"type", "message"}
    PRIMARY KEY (job_id, attempt)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER attempt_ends AFTER UPDATE OF attempt ON job BEGIN
    INSERT INTO attempt VALUES (
        OLD.job_id, OLD.attempt,
        CASE WHEN NEW.losses > OLD.losses THEN 'Failure' ELSE iif(OLD.finished_at IS NULL, NEW.status, OLD.status) END,
        OLD.started_at,
        coalesce(OLD.finished_at, strftime('%Y-%m-%dT%H:%M:%fZ')), OLD.error
    );
END;
CREATE TRIGGER job_ends AFTER DELETE ON job BEGIN
    DELETE FROM attempt WHERE job_id = OLD.job_id;
END;

-- name: schema_4
ALTER TABLE job ADD COLUMN notify TEXT;         -- the URL that is told how the job ended
-- What is to be told, written by the very transaction that ends a job. It has its own copy of what it says, since a job
-- that is run again goes on, and a job that is purged leaves what is not delivered yet.
CREATE TABLE delivery (
    sequence    INTEGER PRIMARY KEY,
    delivery_id TEXT NOT NULL UNIQUE,
    job_id      TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    url         TEXT NOT NULL,
    body        TEXT NOT NULL,                  -- JSON, as it is signed and sent
    status      TEXT NOT NULL DEFAULT 'Waiting' CHECK (status IN ('Waiting', 'Delivered', 'Failed')),
    tries       INTEGER NOT NULL DEFAULT 0,
    created_ms  INTEGER NOT NULL,               -- milliseconds since 1970
    due_at      INTEGER,                        -- while Waiting: not before, in milliseconds since 1970
    finished_at TEXT,
    error       TEXT,                           -- what became of the last try that failed
    CHECK ((status = 'Waiting') = (due_at IS NOT NULL)),
    CHECK ((status = 'Waiting') = (finished_at IS NULL))
) STRICT;
CREATE INDEX delivery_job ON delivery (job_id, sequence);
CREATE INDEX delivery_waiting ON delivery (due_at) WHERE status = 'Waiting';
CREATE TRIGGER job_is_told AFTER UPDATE OF status ON job WHEN NEW.notify IS NOT NULL AND NEW.finished_at IS NOT NULL BEGIN
    INSERT INTO delivery (delivery_id, job_id, attempt, url, body, created_ms, due_at)
    SELECT 'msg_' || lower(hex(randomblob(16))), NEW.job_id, NEW.attempt, NEW.notify,
        json_patch('{}', json_object(           -- which leaves out what is null
            'type', 'job.' || lower(NEW.status), 'timestamp', NEW.finished_at,
            'data', json_object(
                'jobId', NEW.job_id, 'type', NEW.type, 'status', NEW.status, 'error', json(NEW.error),
                'attempt', NEW.attempt, 'createdAt', NEW.created_at, 'startedAt', NEW.started_at,
                'finishedAt', NEW.finished_at
            )
        )),
        now, now
    FROM (SELECT CAST(round((julianday(NEW.finished_at) - 2440587.5) * 86400000) AS INTEGER) AS now);
END;
CREATE TRIGGER job_is_gone AFTER DELETE ON job BEGIN
    DELETE FROM delivery WHERE job_id = OLD.job_id AND status <> 'Waiting';
END;

-- name: schema_5
-- A process died with this job and others in it, and nobody knows which of them ended it: so many jobs at most, this one
-- among them, may be in one process when it runs again. Null for all others. While Pending such a job has no due_at.
ALTER TABLE job ADD COLUMN group_limit INTEGER CHECK (group_limit >= 1);
ALTER TABLE job ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;  -- attempts that ended because the server did

-- name: deliveries
SELECT delivery_id, attempt, url, status, tries, created_ms, due_at, finished_at, iif(status = 'Delivered', NULL, error),
    sequence
FROM delivery WHERE job_id = :job_id AND sequence > :after ORDER BY sequence LIMIT :limit;

-- name: due_deliveries
-- A receiver is the URL's host and port: what lies between :// and the next / ? or #.
SELECT delivery_id, receiver FROM (
    SELECT delivery_id, due_at, lower(substr(rest, 1, instr(replace(replace(rest, '?', '/'), '#', '/') || '/', '/') - 1))
        AS receiver
    FROM (
        SELECT delivery_id, due_at, substr(url, instr(url, '://') + 3) AS rest
        FROM delivery WHERE status = 'Waiting' AND due_at <= :now
    )
) WHERE receiver NOT IN (SELECT value FROM json_each(:passed)) ORDER BY due_at LIMIT :limit;

-- name: next_delivery
SELECT min(due_at) FROM delivery WHERE status = 'Waiting' AND due_at > :now;

-- name: find_delivery
SELECT delivery_id, job_id, url, body, created_ms, tries FROM delivery
WHERE delivery_id = :delivery_id AND status = 'Waiting' AND due_at <= :now;

-- name: try_again
UPDATE delivery SET tries = :tries, error = :error, due_at = :due_at
WHERE delivery_id = :delivery_id AND status = 'Waiting';

-- name: finish_delivery
UPDATE delivery SET (status, tries, finished_at, due_at, error) = (:status, :tries, :now, NULL, :error)
WHERE delivery_id = :delivery_id AND status = 'Waiting';

-- name: forget_delivery
-- Once it is done with, nobody asks for one whose job is gone.
DELETE FROM delivery
WHERE delivery_id = :delivery_id AND NOT EXISTS (SELECT 1 FROM job WHERE job.job_id = delivery.job_id);

-- name: submit
-- Rows: job_id, type, due_at, created_at, traceparent, notify, parameters. The first :claimed of them are claimed as they are
-- saved, which is what `claim` would do to them later in the same transaction.
INSERT INTO job (job_id, type, status, parameters, due_at, created_at, started_at, traceparent, notify)
SELECT value ->> 0, value ->> 1, iif(key < :claimed, {claimed}, 'Pending'),
    CAST(substr(:texts, value ->> 6, value ->> 7) AS TEXT),
    iif(key < :claimed, NULL, value ->> 2), value ->> 3, iif(key < :claimed, :now, NULL), value ->> 4,
    value ->> 5
FROM json_each(:rows) WHERE true
ON CONFLICT (job_id) DO NOTHING;

-- name: find_request
SELECT type, CAST(parameters AS BLOB), notify FROM job WHERE job_id = :job_id;

-- name: waiting
-- One JSON array of all, so that Python takes one row of it; their parameters, one after the other, which nobody parses;
-- and when the next one after them is due.
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
-- Rows: as in waiting.
UPDATE job SET {set}, started_at = :now, due_at = NULL
WHERE job_id IN (SELECT value ->> 0 FROM json_each(:rows)) AND {from};

-- name: succeed
-- Rows: job_id, attempt, finished_at, results.
UPDATE job SET {set}, results = CAST(substr(:texts, row.value ->> 3, row.value ->> 4) AS TEXT),
    finished_at = row.value ->> 2
FROM json_each(:rows) AS row
WHERE job_id = row.value ->> 0 AND attempt = row.value ->> 1 AND {from};

-- name: fail
UPDATE job SET {set}, error = :error, finished_at = :now WHERE {guard};

-- name: repeat
UPDATE job SET {set}, losses = losses + 1, group_limit = :group_limit, due_at = iif(:group_limit IS NULL, :due_at, NULL),
    started_at = NULL, progress = NULL
WHERE {guard};

-- name: lost
UPDATE attempt SET error = :error WHERE job_id = :job_id AND attempt = :attempt;

-- name: release
UPDATE job SET {set}, interruptions = interruptions + :interrupted, group_limit = :group_limit,
    due_at = iif(:group_limit IS NULL, :due_at, NULL), started_at = NULL, progress = NULL
WHERE {guard};

-- name: admit
UPDATE job SET due_at = :due_at
WHERE job_id = :job_id AND attempt = :attempt AND status = 'Pending' AND group_limit IS NOT NULL;

-- name: cancel
UPDATE job SET {set}, due_at = NULL, finished_at = :now WHERE {guard};

-- name: retry
UPDATE job SET {set}, losses = 0, interruptions = 0, group_limit = NULL, due_at = :due_at, started_at = NULL,
    finished_at = NULL, progress = NULL, results = NULL, error = NULL
WHERE {guard};

-- name: progress
UPDATE job SET progress = :progress WHERE job_id = :job_id AND attempt = :attempt AND status = 'Running';

-- name: find_status
SELECT status, attempt FROM job WHERE job_id = :job_id;

-- name: find
SELECT job_id, type, status, CAST(parameters AS BLOB), progress, CAST(results AS BLOB), error, attempt, created_at, started_at, finished_at
FROM job WHERE job_id = :job_id;

-- name: earlier_attempts
SELECT attempt, status, started_at, finished_at, error FROM attempt
WHERE job_id = :job_id AND attempt > :after ORDER BY attempt LIMIT :limit;

-- name: count
-- Each from an index alone: a fiftieth of a second for a million jobs.
SELECT
    (SELECT count(*) FROM job),
    (SELECT count(*) FROM job WHERE status = 'Pending'),
    (SELECT count(*) FROM job WHERE status = 'Running'),
    (SELECT count(*) FROM job WHERE status = 'Failure'),
    (SELECT count(*) FROM job WHERE status = 'Canceled');

-- name: list
SELECT job_id, type, status, CAST(parameters AS BLOB), progress, CAST(results AS BLOB), error, attempt, created_at, started_at, finished_at,
    sequence
FROM job WHERE sequence < :before AND sequence >= :least {filters} ORDER BY sequence DESC;

-- name: list_from
SELECT max(sequence) FROM job WHERE sequence < :before {filters};

-- name: running
SELECT job_id, attempt, type, losses, group_limit, interruptions FROM job WHERE status = 'Running' ORDER BY sequence;

-- name: suspects
SELECT job_id, attempt, group_limit, interruptions FROM job
WHERE status = 'Pending' AND group_limit IS NOT NULL AND type IN (SELECT value FROM json_each(:types)) ORDER BY sequence;

-- name: count_pending
SELECT count(*) FROM job WHERE status = 'Pending';

-- name: park
UPDATE job SET due_at = NULL
WHERE status = 'Pending' AND type NOT IN (SELECT value FROM json_each(:types));

-- name: unpark
UPDATE job SET due_at = :due_at
WHERE status = 'Pending' AND group_limit IS NULL AND (due_at IS NULL OR due_at > :latest)
    AND type IN (SELECT value FROM json_each(:types));

-- name: hold_suspects
-- Those that had been admitted when the server ended.
UPDATE job SET due_at = NULL WHERE status = 'Pending' AND group_limit IS NOT NULL;

-- name: count_parked
SELECT type, count(*) FROM job
WHERE status = 'Pending' AND due_at IS NULL AND type NOT IN (SELECT value FROM json_each(:types)) GROUP BY type;

-- name: oldest
SELECT sequence, status, created_at, finished_at FROM job WHERE sequence > :after ORDER BY sequence LIMIT :limit;

-- name: delete
DELETE FROM job WHERE sequence = :sequence AND status IN ('Success', 'Failure', 'Canceled');
