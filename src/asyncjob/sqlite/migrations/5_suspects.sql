-- Jobs that run apart from others after a process died.

-- Given if a process died with this job and others in it, and it is not known which of them ended it: how many jobs at
-- most, this one included, may share a process when it runs again. While Pending, such a job has no due_at.
ALTER TABLE job ADD COLUMN group_limit INTEGER CHECK (group_limit >= 1);
ALTER TABLE job ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;  -- attempts that ended because the server did
