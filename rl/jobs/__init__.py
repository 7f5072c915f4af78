"""Runs in processes of their own, with a row in the database.

record: a job and its database row
queue: lists, starts, resumes, finds and stops jobs
lease: a process's claim on its job, renewed while it runs
worker: the process of a job
progress: what a running job reports
terminal: jobs shown in a terminal
"""
