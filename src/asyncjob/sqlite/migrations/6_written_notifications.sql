-- The store writes notifications, from the job that a GET shows. A trigger did this before.

DROP TRIGGER job_is_told;
-- The host and port of the URL, between :// and the next / ? or #. Notifications to the same receiver share its limit.
ALTER TABLE delivery ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
UPDATE delivery SET receiver = (
    SELECT lower(substr(rest, 1, instr(replace(replace(rest, '?', '/'), '#', '/') || '/', '/') - 1))
    FROM (SELECT substr(url, instr(url, '://') + 3) AS rest)
);
-- The jobs that have a `notify` and have not ended. While there are none it is empty, and costs other jobs nothing.
CREATE INDEX job_to_tell ON job (job_id) WHERE notify IS NOT NULL AND finished_at IS NULL;
