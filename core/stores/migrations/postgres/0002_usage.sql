-- Step 4: calls that were sent to the vendor, by the hour (UTC epoch seconds of its start) and what they were for.
-- `account` names a key by its fingerprint.
CREATE TABLE usage (
    hour bigint NOT NULL,
    account text COLLATE "C" NOT NULL,
    data_type text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    label text COLLATE "C" NOT NULL,
    calls bigint NOT NULL,
    PRIMARY KEY (hour, account, data_type, reason, label)
);
