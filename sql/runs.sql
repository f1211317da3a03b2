-- What was computed when, by which run and code, and into which version?
-- One row a computation of one table's partition, the newest first.
-- Columns:
--   table_name       table written
--   partition        partition written, - where there is none, model|subject where both
--   delta_version    version of the table after the write; what --as-of TABLE=VERSION takes
--   newest           true where no later computation of the partition stands
--   rows             rows of the partition
--   code_version     hash of the code that computed it
--   source_versions  tables read, with their versions
--   run_id           Dagster run
--   finished_at      time of the write
SELECT
    "table" AS table_name,
    partition,
    delta_version,
    row_number() OVER (PARTITION BY "table", partition ORDER BY finished_at DESC, delta_version DESC) = 1 AS newest,
    rows,
    code_version,
    source_versions,
    run_id,
    finished_at
FROM materializations
ORDER BY finished_at DESC, table_name, partition
