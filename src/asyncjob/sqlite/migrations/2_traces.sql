-- The trace that a job belongs to.

ALTER TABLE job ADD COLUMN traceparent TEXT;    -- of the trace that the job belongs to, as W3C Trace Context writes it
