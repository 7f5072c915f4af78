"""What people like: ratings, what is learnt from them, and simulated listeners.

scorer: the type that every reward has
connections: connections to a database, and its errors in plain words
store: the ratings database: raters, melodies, comparisons, votes
migrations: changes of the database's tables, by Alembic
exchange: ratings as files, out and in
comparisons: votes as data, and statistics of those who gave them
blind_test: making a blind test of two policies, and when it ends
profile: the taste profile, a Bayesian model of utility over named features
neural: the neural reward
pairs: which pairs of melodies are asked
listeners: simulated raters of known taste
training: from the votes in a store to a reward run
validation: whether the profile holds on judgements from elsewhere, of unseen melodies
"""
