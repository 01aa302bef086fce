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
