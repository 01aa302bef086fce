-- An output store as version 0.1.0 made it (format 1): its schema, word for word, and what its executions left.
--
-- 2010-12-01: 30 % in London, straight through, then again with 50 %, which discounted nothing.
-- 2010-12-02: 30 % in London; 20 % in London for an invoice that came late; 12.5 % in Tokyo, which is another instance.
-- 2010-12-03: nothing to discount, with 25 % and then with 40 % in UTC.
-- 2010-12-04: 15 % in UTC, killed after its first chunk; an invoice without a number was discounted.
PRAGMA application_id = 1413964915;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;

-- The output store of the nightly discount. A change here raises FORMAT in output_store.rs.
-- Times are UTC milliseconds; amounts are minor units of the currency; business dates are as in the command.

-- A job for one business day in one zone.
CREATE TABLE job_instances (
    instance_id   INTEGER PRIMARY KEY,
    job           TEXT NOT NULL,
    business_date TEXT NOT NULL,
    zone          TEXT NOT NULL,
    UNIQUE (job, business_date, zone)
) STRICT;

-- A run of an instance. The percentage does not tell instances apart: another one discounts nothing twice.
CREATE TABLE executions (
    execution_id INTEGER PRIMARY KEY,
    instance_id  INTEGER NOT NULL REFERENCES job_instances,
    read_store   TEXT NOT NULL,
    percent      TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    status       TEXT NOT NULL CHECK (status IN ('STARTED', 'COMPLETED', 'FAILED')),
    exit_message TEXT NOT NULL DEFAULT ''
) STRICT;

-- The counts of step `discount` are committed with each chunk, so a killed execution shows how far it came.
CREATE TABLE steps (
    execution_id         INTEGER NOT NULL REFERENCES executions,
    step                 TEXT NOT NULL CHECK (step IN ('discount', 'export')),
    read_count           INTEGER NOT NULL DEFAULT 0,
    write_count          INTEGER NOT NULL DEFAULT 0,
    doubled_skip_count   INTEGER NOT NULL DEFAULT 0,
    discounted_before_count INTEGER NOT NULL DEFAULT 0,
    commit_count         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, step)
) STRICT, WITHOUT ROWID;

-- The primary key is the identity of a discount: it is what makes running again harmless.
CREATE TABLE discounts (
    job              TEXT NOT NULL,
    invoice_id       TEXT NOT NULL,
    instance_id      INTEGER NOT NULL REFERENCES job_instances,
    execution_id     INTEGER NOT NULL REFERENCES executions,
    customer_id      TEXT NOT NULL,
    issued_at        INTEGER NOT NULL,
    currency         TEXT NOT NULL,
    percent          TEXT NOT NULL,
    amount_minor     INTEGER NOT NULL,
    discount_minor   INTEGER NOT NULL,
    remaining_minor  INTEGER NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    PRIMARY KEY (job, invoice_id),
    CHECK (discount_minor + remaining_minor = amount_minor)
) STRICT, WITHOUT ROWID;
CREATE INDEX discounts_by_instance ON discounts (instance_id, invoice_id);
CREATE INDEX discounts_by_customer ON discounts (customer_id, issued_at);

INSERT INTO job_instances VALUES
    (1, 'discount', '2010-12-01', 'Europe/London'),
    (2, 'discount', '2010-12-02', 'Europe/London'),
    (3, 'discount', '2010-12-02', 'Asia/Tokyo'),
    (4, 'discount', '2010-12-03', 'UTC'),
    (5, 'discount', '2010-12-04', 'UTC');

INSERT INTO executions VALUES
    (1, 1, 'read.sqlite3', '30', 10, 11, 'COMPLETED', ''),
    (2, 1, 'read.sqlite3', '50', 20, 21, 'COMPLETED', ''),
    (3, 3, 'read.sqlite3', '7', 25, 26, 'FAILED', 'cannot write the export `day.csv`'),
    (4, 2, 'read.sqlite3', '30', 30, 31, 'COMPLETED', ''),
    (5, 2, 'read.sqlite3', '20', 40, 41, 'COMPLETED', ''),
    (6, 3, 'read.sqlite3', '12.5', 50, 51, 'COMPLETED', ''),
    (7, 4, 'read.sqlite3', '25', 60, 61, 'COMPLETED', ''),
    (8, 4, 'read.sqlite3', '40', 70, 71, 'COMPLETED', ''),
    (9, 5, 'read.sqlite3', '15', 80, NULL, 'STARTED', '');

INSERT INTO steps VALUES
    (1, 'discount', 3, 2, 1, 0, 1),
    (1, 'export', 2, 2, 0, 0, 1),
    (2, 'discount', 3, 0, 1, 2, 1),
    (4, 'discount', 1, 1, 0, 0, 1),
    (5, 'discount', 2, 1, 0, 1, 1),
    (6, 'discount', 2, 1, 0, 1, 1),
    (9, 'discount', 1, 1, 0, 0, 1);

INSERT INTO discounts VALUES
    ('discount', '536365', 1, 1, '17850', 1291191960000, 'GBP', '30', 13912, 4174, 9738, 0, 0),
    ('discount', 'C536379', 1, 1, '17850', 1291196460000, 'GBP', '30', -2750, -825, -1925, 0, 1),
    ('discount', '536600', 2, 4, '17851', 1291280000000, 'GBP', '30', 1000, 300, 700, 1, 0),
    ('discount', '536601', 2, 5, '17851', 1291280000001, 'GBP', '20', 1000, 200, 800, 1, 9),
    ('discount', '536602', 3, 6, '17852', 1291220000000, 'EUR', '12.5', 1000, 125, 875, 2, 3),
    ('discount', '', 5, 9, '17853', 1291420800000, 'GBP', '15', 100, 15, 85, 0, 7);
