"""Other tools' ways of reading rows: pyarrow datasets, and by them DuckDB and Polars."""
