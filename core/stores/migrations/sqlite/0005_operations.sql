-- Step 5: alerts with all of their state, what was sent to whom, silences, schedules and history. Times are UTC epoch
-- seconds.

-- `since` is when the condition began, `fired` when that was told; `incident` names one firing until it is over, and
-- `sequence` counts what happened to it. `memory` is what the state machine needs besides, as JSON.
ALTER TABLE alert ADD COLUMN incident TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN value REAL;
ALTER TABLE alert ADD COLUMN fired REAL;
ALTER TABLE alert ADD COLUMN resolved REAL;
ALTER TABLE alert ADD COLUMN acked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN acked_until REAL;
ALTER TABLE alert ADD COLUMN memory TEXT NOT NULL DEFAULT '{}';

-- Every change of an alert's state, as it happened; `id` ascends.
CREATE TABLE alert_change (
    id INTEGER PRIMARY KEY,
    alert TEXT NOT NULL,
    incident TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    rule TEXT NOT NULL,
    source TEXT NOT NULL,
    level TEXT NOT NULL,
    state TEXT NOT NULL,
    at REAL NOT NULL,
    value REAL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX alert_change_at ON alert_change (at);
CREATE INDEX alert_change_incident ON alert_change (incident);

-- What is to be told about an incident on one channel. Entries that go out together share a `message`, the id that the
-- receiver knows them by; it is there before they are sent, and stays when they are sent again. `state`: waiting, sent,
-- suppressed (`error` says by what), dead. `body` is the alert as it was, as JSON.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    grouping TEXT NOT NULL,
    incident TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created REAL NOT NULL,
    not_before REAL NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    ended REAL,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (channel, incident, sequence)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (channel, not_before) WHERE state = 'waiting';
CREATE INDEX outbox_ended ON outbox (channel, ended) WHERE state <> 'waiting';

-- Patterns, as those of file names, of rules and sources that nobody is told of until then.
CREATE TABLE silence (
    silence TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    source TEXT NOT NULL,
    level TEXT NOT NULL,
    created REAL NOT NULL,
    until REAL NOT NULL,
    author TEXT NOT NULL,
    comment TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who sees to what only one engine should do at a time, until when.
CREATE TABLE duty (
    duty TEXT PRIMARY KEY,
    engine TEXT NOT NULL,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Times at which a schedule was due. `state`: claimed, running, done, failed, skipped (`note` says why).
CREATE TABLE schedule_tick (
    schedule TEXT NOT NULL,
    tick INTEGER NOT NULL,
    engine TEXT NOT NULL,
    host TEXT NOT NULL,
    claimed REAL NOT NULL,
    state TEXT NOT NULL,
    runs TEXT NOT NULL DEFAULT '[]',
    finished REAL,
    note TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (schedule, tick)
) STRICT, WITHOUT ROWID;

-- Figures over time: of each span of `seconds` how many there were, their sum, lowest, highest and last. `classes` of
-- durations are counts by class, as JSON.
CREATE TABLE sample (
    seconds INTEGER NOT NULL,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    total REAL NOT NULL,
    lowest REAL NOT NULL,
    highest REAL NOT NULL,
    newest REAL NOT NULL,
    classes TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (seconds, name, labels, at)
) STRICT, WITHOUT ROWID;
