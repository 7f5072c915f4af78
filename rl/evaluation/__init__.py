"""Measuring a tuned policy beside its base.

evaluate: the measurements
best_of_n: best-of-n under the same reward
report: the HTML report
"""
