"""Ratings as files.

export: writes CSV, JSONL and Parquet tables, and preference pairs for TRL
import_votes: reads the votes of an export into a store
import_blind_tests: puts imported blind tests into campaigns, so that they can be revealed
import_pool: reads the melodies and comparisons of an export into a store
table_files: reads the rows of a table file, each with what is wrong in it
"""
