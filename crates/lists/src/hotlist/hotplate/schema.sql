-- hotplates.db: entries that officers added in this car.
-- SQLCipher, key derived from the device key, WAL, synchronous=FULL, secure_delete.

CREATE TABLE hotplate (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),  -- ULID
    body         BLOB    NOT NULL,  -- JSON: plate, jurisdiction, priority, reason, case, by, role
    added_ms     INTEGER NOT NULL,  -- wall clock, ms since 1970
    expires_ms   INTEGER NOT NULL,  -- wall clock
    boot         BLOB    NOT NULL CHECK (length(boot) = 16),  -- the boot whose clock counts below
    boot_ends_ms INTEGER NOT NULL   -- boot clock
) WITHOUT ROWID;

-- The latest wall clock that was seen while there was one.
CREATE TABLE seen (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    wall_ms INTEGER NOT NULL
);
