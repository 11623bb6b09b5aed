-- The attempts that were followed by another. A job that succeeds at once writes nothing here, and none of its
-- statements names the column that the first trigger watches.

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
