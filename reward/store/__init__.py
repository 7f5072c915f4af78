"""The ratings database. Every change is one method of `store` and one transaction.

store: the ratings store, the one entry for all callers
schema: the tables
database: opening, migrating, sessions, and its clock
raters: people under pseudonyms, and simulated listeners
nicknames: one spelling of a nickname, and names that look alike
secret_tokens: secrets that let a rater or a guest in, stored as hashes
pool: melodies that can be rated, and planned comparisons
assignments: which pair a rater hears next, and on which side
votes: writing a vote, and undoing it
heard_time: how much listening a vote may claim
campaigns: comparisons that belong together, and who is invited
campaign_guests: who hears a campaign, and how much of it
campaign_votes: which votes of a campaign count
sealed: melodies of blind tests that have not been revealed
catalogue: all melodies, with what one rater has heard of them
favourites: melodies that a rater keeps
listening_sessions: how long a rater has listened without a break
withdrawal: a rater leaves and takes their data along
frames: the store as pandas frames
process_environment: the environment variables that our processes share
"""
