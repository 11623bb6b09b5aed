-- Notifications are written by the store, from the record that a GET shows, and no longer by a trigger.

DROP TRIGGER job_is_told;
-- Its receiver's host and port, which notifications take turns by: what lies between :// and the next / ? or #.
ALTER TABLE delivery ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
UPDATE delivery SET receiver = (
    SELECT lower(substr(rest, 1, instr(replace(replace(rest, '?', '/'), '#', '/') || '/', '/') - 1))
    FROM (SELECT substr(url, instr(url, '://') + 3) AS rest)
);
-- Jobs whose end is to be told, until they end. It is empty where no job names anybody, and then costs nothing.
CREATE INDEX job_to_tell ON job (job_id) WHERE notify IS NOT NULL AND finished_at IS NULL;
