-- Jobs, and the indexes that keep claims and listings fast.

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
