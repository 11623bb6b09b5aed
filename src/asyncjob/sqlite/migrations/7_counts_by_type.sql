-- Counts of jobs by type and status that read only an index.

-- As before, and with the type. A change of status moves a job in this index anyway, so the type costs only its bytes.
DROP INDEX job_unsuccessful;
CREATE INDEX job_unsuccessful ON job (status, sequence, type)  -- with OR, since SQLite does not see that = implies IN
    WHERE status = 'Pending' OR status = 'Running' OR status = 'Failure' OR status = 'Canceled';
