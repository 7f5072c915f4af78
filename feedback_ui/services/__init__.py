"""What the studio does. No Streamlit here.

session: raters come in, hear pairs, vote and undo
answers: checks what a page sent
limits: rates of sign-ups and answers, and what they refused
consent: whether a rater has agreed to the current terms
accounts: what is stored of a rater
practice: the practice pair
clips: audio of melodies, rendered ahead
pool_cache: all melodies of the pool, with their measures, in memory
library: finds and orders melodies
library_query: search, filters and order as they stand in the address
downloads: a melody as files
notation: a melody as a score or a piano roll
reference_corpus: a melody beside real tunes
profiles: the newest taste profile
tastes: what can be said of a taste
blind_tests: what may be told of each blind test
header_choices: what forms offer for the header of new melodies
corpora: corpora of uploaded tunes, and the policies that learn from them
jobs: PPO jobs; the only module here that imports `rl`
subcommand: the program's own commands in a process
background_command: a long command beside the page
"""
