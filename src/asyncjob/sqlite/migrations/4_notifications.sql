-- Notifications of ended jobs.

ALTER TABLE job ADD COLUMN notify TEXT;         -- the URL that is told how the job ended
-- A notification, written by the transaction that ends its job. It has its own copy of what it says, since the job may
-- run again or be purged before the notification is delivered.
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
