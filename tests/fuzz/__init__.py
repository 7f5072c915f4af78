"""Fuzzing: every reader of bytes from outside, given inputs that are almost right.

target: what a reader is to the fuzzers, and what its answer must be like
mutation: inputs made of valid examples by small changes
music_targets: readers of ABC, MIDI, MusicXML, note searches and tokens
request_targets: readers of keys, ranges and styles, and of what a policy says it knows
table_targets: readers of exported ratings: CSV, JSONL, Parquet
model_targets: readers of policies, taste profiles, neural rewards and checkpoints
run_targets: readers of run folders, jobs, reward specs and settings
studio_targets: readers of what a browser or an address sends, and of database addresses
targets: all of them, by name
found: inputs that once were answered wrongly
count: runs a number of inputs over all readers and prints a table
coverage: runs the readers coverage-guided, with atheris
again: runs one reader on the content of a file
"""
