-- What detectors of anomalies have learned of a series, as JSON. `series` is an instrument and an interval, empty for a
-- market as a whole and for the engine's own figures; `newest` is the start of the last bar that was learned, and `saved`
-- when it was written. Times are UTC epoch seconds.
CREATE TABLE baseline (
    market text COLLATE "C" NOT NULL,
    series text COLLATE "C" NOT NULL,
    detector text COLLATE "C" NOT NULL,
    newest bigint NOT NULL,
    saved double precision NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (market, series, detector)
);
CREATE INDEX baseline_saved ON baseline (saved);
