-- Schedules of which nothing begins from `since` on until then; without an end until somebody says so.
CREATE TABLE schedule_pause (
    schedule text COLLATE "C" PRIMARY KEY,
    since double precision NOT NULL,
    until double precision,
    author text COLLATE "C" NOT NULL,
    comment text NOT NULL
);
