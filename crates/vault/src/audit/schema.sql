-- audit.db: who did what, when and why. Only ever added to.
-- SQLCipher, key derived from the device key, WAL, synchronous=FULL.

-- One line of the chain. `line` is the record's JSON, byte for byte as it is exported; it holds the
-- SHA-256 of the line before it. Nothing deletes or changes a row: the triggers stop mistakes, the
-- chain and its checkpoints show malice.
CREATE TABLE record (
    seq  INTEGER PRIMARY KEY CHECK (seq > 0),  -- 1, 2, 3, ...
    line BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)  -- SHA-256 of line
);

CREATE TRIGGER record_stays BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;

CREATE TRIGGER record_keeps_its_words BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;

-- A head of the chain, signed by the device key (DSSE envelope).
CREATE TABLE checkpoint (
    seq      INTEGER PRIMARY KEY REFERENCES record (seq),
    envelope BLOB NOT NULL
);
