-- Jobs that run apart from others after a process died.

-- A process died with this job and others in it, and nobody knows which of them ended it: so many jobs at most, this one
-- among them, may be in one process when it runs again. Null for all others. While Pending such a job has no due_at.
ALTER TABLE job ADD COLUMN group_limit INTEGER CHECK (group_limit >= 1);
ALTER TABLE job ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;  -- attempts that ended because the server did
