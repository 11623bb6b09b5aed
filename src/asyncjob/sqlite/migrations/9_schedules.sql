-- What begins jobs by itself. Times are milliseconds since 1970.

CREATE TABLE schedule (
    sequence    INTEGER PRIMARY KEY,            -- order in which they were made; the cursor of a listing
    schedule_id TEXT NOT NULL UNIQUE,
    type        TEXT NOT NULL,                  -- of its jobs
    cron        TEXT,                           -- an expression of five fields, in the time zone tz; or
    tz          TEXT,
    every       INTEGER CHECK (every >= 1),     -- seconds
    parameters  TEXT NOT NULL,                  -- of its jobs: a JSON object
    options     TEXT,                           -- of its jobs: a JSON object
    missed      TEXT NOT NULL CHECK (missed IN ('last', 'all', 'none')),
    overlap     TEXT NOT NULL CHECK (overlap IN ('run', 'skip')),
    declared    INTEGER NOT NULL,               -- whether the code says all this; if not, a client does
    created_ms  INTEGER NOT NULL,
    paused      INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER,                        -- the next occurrence; null while paused, or if none ever comes
    handled_at  INTEGER,                        -- the last occurrence that was begun or left out
    last_job_id TEXT,                           -- the job that was begun last, and the time it was begun for
    last_at     INTEGER,
    last_status TEXT,                           -- what became of that job, once it is deleted
    last_error  TEXT,                           -- {"type", "message"}
    CHECK ((cron IS NULL) = (tz IS NULL) AND (cron IS NULL) <> (every IS NULL)),
    CHECK (paused = 0 OR next_at IS NULL),
    CHECK ((last_job_id IS NULL) = (last_at IS NULL))
) STRICT;
CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedule_last ON schedule (last_job_id) WHERE last_job_id IS NOT NULL;
CREATE TRIGGER schedule_remembers BEFORE DELETE ON job BEGIN
    UPDATE schedule SET last_status = OLD.status, last_error = OLD.error WHERE last_job_id = OLD.job_id;
END;
