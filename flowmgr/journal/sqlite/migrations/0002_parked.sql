-- When a parked execution has to be taken up again: Infinity for never. NULL: it is not parked; the
-- checksum of such a row leaves this column out, so those that were written before it still hold.
ALTER TABLE execution ADD COLUMN due REAL;
