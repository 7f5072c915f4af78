"""Connections to a database, SQLite or PostgreSQL, whatever is stored in it.

engines: connections, writers in line, and SQLite files that may only be read
database_errors: errors of the database in plain words
"""
