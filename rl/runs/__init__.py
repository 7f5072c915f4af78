"""Fine-tuning runs by name.

fine_tuning: starts, resumes and evaluates runs
run_comparison: how runs differ in settings and results
"""
