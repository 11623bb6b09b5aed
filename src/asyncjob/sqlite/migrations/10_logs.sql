-- What job functions log and print. A job whose function does neither writes nothing here.

CREATE TABLE log (
    job_id    TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    number    INTEGER NOT NULL,     -- of the line in its attempt, from 1; those that are missing were left out
    at        INTEGER NOT NULL,     -- milliseconds since 1970
    level     INTEGER NOT NULL,     -- the logging module's
    logger    TEXT NOT NULL,        -- its name, or that of the standard stream
    message   TEXT NOT NULL,
    traceback TEXT NOT NULL,        -- empty without an exception
    PRIMARY KEY (job_id, attempt, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_ends_its_log AFTER DELETE ON job BEGIN
    DELETE FROM log WHERE job_id = OLD.job_id;
END;
