-- Step 4: calls that were sent to the vendor, by the hour (UTC epoch seconds of its start) and what they were for.
-- `account` names a key by its fingerprint.
CREATE TABLE usage (
    hour INTEGER NOT NULL,
    account TEXT NOT NULL,
    data_type TEXT NOT NULL,
    reason TEXT NOT NULL,
    label TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (hour, account, data_type, reason, label)
) STRICT, WITHOUT ROWID;
