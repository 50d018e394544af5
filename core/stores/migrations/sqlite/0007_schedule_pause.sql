-- Schedules of which nothing begins from `since` on until then; without an end until somebody says so.
CREATE TABLE schedule_pause (
    schedule TEXT PRIMARY KEY,
    since REAL NOT NULL,
    until REAL,
    author TEXT NOT NULL,
    comment TEXT NOT NULL
) STRICT, WITHOUT ROWID;
