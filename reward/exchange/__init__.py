"""Ratings as files.

export: writes CSV, JSONL and Parquet tables, and preference pairs for TRL
import_votes: reads the tables of an export into a store, in one transaction
import_answers: its raters and votes
import_blind_tests: puts imported blind tests into campaigns, so that they can be revealed
import_comparisons: its comparisons
import_pool: its melodies
table_files: the tables as files: CSV, JSONL or Parquet, read row by row within limits
table_row: a row's cells by name and kind, with what is wrong in them
parquet_rows: the rows of a Parquet file, in pieces that fit into memory
parquet_trial: opens a Parquet file within limits; reads it on trial in a process of its own
refused_rows: writes the rows that were refused, to be mended
"""
