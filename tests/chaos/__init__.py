"""Faults that no program can prevent, and what must hold all the same.

Power cuts, full disks, kill -9, processes that stand still for longer than their lease, clocks
that jump or disagree, and a database server that restarts. CI runs these tests for some minutes.
`make chaos` runs them, the storm of votes in browsers (`tests/feedback_ui/test_storm.py`) and the
kills of jobs (`tests/rl/jobs/test_kills.py`) for as long as you say:

    make chaos HOURS=2     as much of each as takes about two hours
    make chaos SCALE=20    twenty times as much of each as in CI: 300 power cuts, 800 kills, 10,000
                           votes on each database

disk: a folder on a disk that loses power, and what may be left of it
recording: records what programs write into a folder, with strace
job_to_record: a PPO job whose writes are recorded
votes_to_record: raters whose votes are recorded
postgres_server: a PostgreSQL server of one test, which may be crashed
vote_server: a server of the studio's services, to be killed
careless_raters: raters who double click, reload, use two tabs and meet dead servers
stored_votes: what a database holds, read without the product's code
test_disk: the disk and the recording themselves
test_power_cuts_of_jobs: a run that lost power resumes to the same bits
test_power_cuts_of_votes: no acknowledged vote is lost
test_power_cuts_of_files: an export or report is whole or absent
test_votes: thousands of votes with faults, each stored once
test_stopped_jobs: a job that stood still does not write; clocks that disagree; a crashed database
test_full_disk: nothing is torn when the disk is full
"""
