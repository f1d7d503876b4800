-- The floor: one export from landing to Parquet, nothing checked. The marts follow from it by the SELECTs
-- that dbt compiles, run one after the other in the same connection (tasks.py); their heavy parts stand
-- here by hand as well (rollup.sql, bridge_*.sql) and are measured on their own.
copy (select *, date '{day}' as landing_date from {source})
to '{target}' (format parquet, compression zstd);
