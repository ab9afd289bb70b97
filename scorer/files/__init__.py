"""`longshore score --input FILE --to FILE`: a file's rows scored by the stream's own codec and model, in chunks.

`run` (shell) goes from file to file; `csv_file` and `parquet_file` (shells) know the formats; `cells` says what a cell
means, `chunk` what becomes of a chunk; `replacing` (shell) keeps half-written files out of sight.
"""
