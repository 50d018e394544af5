-- What detectors of anomalies have learned of a series, as JSON. `series` is an instrument and an interval, empty for a
-- market as a whole and for the engine's own figures; `newest` is the start of the last bar that was learned, and `saved`
-- when it was written. Times are UTC epoch seconds.
CREATE TABLE baseline (
    market TEXT NOT NULL,
    series TEXT NOT NULL,
    detector TEXT NOT NULL,
    newest INTEGER NOT NULL,
    saved REAL NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (market, series, detector)
) STRICT;
CREATE INDEX baseline_saved ON baseline (saved);
