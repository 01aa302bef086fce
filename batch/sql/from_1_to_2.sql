-- From format 1 to 2, inside one transaction with foreign keys off. `discounts` stays as it is: it always kept the whole content.
--
-- Format 1 had an instance for each date *and zone*, and let each execution choose its percentage. Format 2 has one instance for
-- each date, with one set of parameters. They become those of the first execution that discounted anything: with today's rule, the
-- others would have been refused. If no execution of the date discounted anything, those of the last one. All discounts stay, each
-- with its own percentage, and every execution keeps the parameters it ran with.

CREATE TEMP TABLE old_executions AS
SELECT e.*, i.job, i.business_date, i.zone,
       coalesce((SELECT s.write_count FROM steps AS s WHERE s.execution_id = e.execution_id AND s.step = 'discount'), 0)
           AS discounted
FROM executions AS e JOIN job_instances AS i USING (instance_id);

CREATE TEMP TABLE old_steps AS SELECT * FROM main.steps;

-- Which execution's parameters a date takes.
CREATE TEMP TABLE deciding AS
SELECT job, business_date,
       coalesce(min(execution_id) FILTER (WHERE discounted > 0), max(execution_id)) AS execution_id
FROM old_executions GROUP BY job, business_date;

-- The instances of a date become the one of its deciding execution.
CREATE TEMP TABLE moved AS
SELECT DISTINCT o.instance_id AS old_id, d.instance_id AS new_id
FROM old_executions AS o
JOIN deciding USING (job, business_date)
JOIN old_executions AS d ON d.execution_id = deciding.execution_id;

DROP TABLE main.steps;
DROP TABLE main.executions;
DROP TABLE main.job_instances;

CREATE TABLE job_instances (
    instance_id   INTEGER PRIMARY KEY,
    job           TEXT NOT NULL,
    business_date TEXT NOT NULL,
    zone          TEXT NOT NULL,
    percent       TEXT NOT NULL,
    rounding      TEXT NOT NULL,
    UNIQUE (job, business_date)
) STRICT;

CREATE TABLE executions (
    execution_id INTEGER PRIMARY KEY,
    instance_id  INTEGER NOT NULL REFERENCES job_instances,
    read_store   TEXT NOT NULL,
    zone         TEXT NOT NULL,
    percent      TEXT NOT NULL,
    rounding     TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    status       TEXT NOT NULL CHECK (status IN ('STARTED', 'COMPLETED', 'FAILED')),
    exit_message TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE steps (
    execution_id            INTEGER NOT NULL REFERENCES executions,
    step                    TEXT NOT NULL CHECK (step IN ('discount', 'export')),
    read_count              INTEGER NOT NULL DEFAULT 0,
    write_count             INTEGER NOT NULL DEFAULT 0,
    doubled_skip_count      INTEGER NOT NULL DEFAULT 0,
    discounted_before_count INTEGER NOT NULL DEFAULT 0,
    conflict_count          INTEGER NOT NULL DEFAULT 0,
    settled_count           INTEGER NOT NULL DEFAULT 0,
    reject_count            INTEGER NOT NULL DEFAULT 0,
    commit_count            INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE conflicts (
    conflict_id        INTEGER PRIMARY KEY,
    job                TEXT NOT NULL,
    invoice_id         TEXT NOT NULL,
    customer_id        TEXT NOT NULL,
    issued_at          INTEGER NOT NULL,
    amount_minor       INTEGER NOT NULL,
    currency           TEXT NOT NULL,
    instance_id        INTEGER NOT NULL REFERENCES job_instances,
    first_execution_id INTEGER NOT NULL REFERENCES executions,
    last_execution_id  INTEGER NOT NULL REFERENCES executions,
    source_partition   INTEGER NOT NULL,
    source_offset      INTEGER NOT NULL,
    resolution         TEXT,
    UNIQUE (job, invoice_id, customer_id, issued_at, amount_minor, currency)
) STRICT;

INSERT INTO job_instances (instance_id, job, business_date, zone, percent, rounding)
SELECT o.instance_id, o.job, o.business_date, o.zone, o.percent, 'half-up'
FROM deciding JOIN old_executions AS o USING (execution_id);

INSERT INTO executions (execution_id, instance_id, read_store, zone, percent, rounding, started_at, ended_at, status, exit_message)
SELECT o.execution_id, moved.new_id, o.read_store, o.zone, o.percent, 'half-up', o.started_at, o.ended_at, o.status, o.exit_message
FROM old_executions AS o JOIN moved ON moved.old_id = o.instance_id;

INSERT INTO steps (execution_id, step, read_count, write_count, doubled_skip_count, discounted_before_count, commit_count)
SELECT execution_id, step, read_count, write_count, doubled_skip_count, discounted_before_count, commit_count FROM old_steps;

UPDATE discounts SET instance_id = moved.new_id
FROM moved WHERE moved.old_id = discounts.instance_id AND moved.old_id <> moved.new_id;

DROP TABLE temp.moved;
DROP TABLE temp.deciding;
DROP TABLE temp.old_steps;
