-- One bucket of the ring: the reads of one stretch of time that matched nothing.
-- SQLCipher, a random key of its own, rollback journal, secure_delete. A bucket is only ever added
-- to, and only ever deleted whole, key first.
--
-- There is no index on the plate, and no view over buckets: nothing here makes it easy to ask
-- where a plate has been.
CREATE TABLE read (
    id           BLOB    NOT NULL CHECK (length(id) = 16),  -- ULID
    seen_ms      INTEGER NOT NULL,  -- wall clock of the best frame, ms since 1970
    camera       TEXT    NOT NULL,
    plate        TEXT    NOT NULL,  -- as read; alternatives are not kept
    weakest      REAL    NOT NULL,  -- probability of the least certain character, 0 to 1
    frames       INTEGER NOT NULL,  -- frames that took part in the vote
    latitude     REAL,              -- degrees north, WGS 84; NULL without a fix
    longitude    REAL,              -- degrees east
    accuracy_m   REAL,              -- metres, 95 %
    thumbnail    BLOB               -- JPEG of the plate alone, where the configuration asks for it
);
