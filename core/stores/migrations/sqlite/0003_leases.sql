-- Step 3: who may write a series, as in PostgreSQL. Here the lock beside the file says so for all of them at once,
-- and no engine writes a row; who asks both databases gets an answer from both.
CREATE TABLE lease (
    series_id INTEGER PRIMARY KEY REFERENCES series (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until REAL NOT NULL
) STRICT;
