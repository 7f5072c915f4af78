"""Comparing a tuned policy with its base policy.

evaluate: the measurements
best_of_n: best-of-n under the same reward
report: the HTML report
"""
