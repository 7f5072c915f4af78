"""Corpora of the people who run a studio: files are uploaded, built, and a policy is adapted.

uploads: the files that were uploaded for a corpus
recorded_command: a long command whose record is on the disk, so that it outlives the studio
recorded_process: the process of such a command
corpus_jobs: corpora of uploaded files, and their builds
adaptations: policies that are adapted to a corpus, and what they write
overview: what can be told of each corpus
policies: the policies on this machine, and the corpora that each was trained on
"""
