"""What pages are made of.

access: who is rating in this tab, and who may enter
tab_keys: a rater's token and an organiser's right, as a tab holds them
rating: from the volume check to the last pair
melody_details: one melody in detail
blind_test_form: the form that makes a blind test
blind_test_result: the result of a blind test
fine_tune_form: the form that starts a run
fine_tune: watching a run, comparing several
fine_tune_charts: charts of a run
corpora: one corpus, and the files of it
corpus_form: the form that makes a corpus, and the one that adds files
corpus_adaptation: adapting a policy to a corpus
taste_charts: charts of a taste
chart_colours: colours of charts in the light and the dark theme
notice: a line of text in a box
page_heading: the title of a page
"""
