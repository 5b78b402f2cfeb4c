-- counters.db: how many, per day and camera, for years; no plate, no hit, no place.
-- SQLCipher, key derived from the device key, WAL.

-- What is counted, and cameras; 0 is the car as a whole.
CREATE TABLE word (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
INSERT INTO word (id, text) VALUES (0, '');

CREATE TABLE tally (
    day    INTEGER NOT NULL,  -- days since 1970-01-01, UTC
    camera INTEGER NOT NULL REFERENCES word (id),
    what   INTEGER NOT NULL REFERENCES word (id),
    n      INTEGER NOT NULL,
    PRIMARY KEY (day, camera, what)
) WITHOUT ROWID;

-- How often a day has changed, and which change the broker has acknowledged.
CREATE TABLE day (
    day      INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    acked    INTEGER NOT NULL DEFAULT 0
);

-- Up to where the audit log has been counted, in the transaction that counted it.
CREATE TABLE counted (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    chain TEXT    NOT NULL,  -- SHA-256 of the log's first line
    seq   INTEGER NOT NULL
) WITHOUT ROWID;
