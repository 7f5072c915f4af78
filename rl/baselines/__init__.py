"""Other methods on the same reward and votes.

trl: DPO, RLOO and GRPO by TRL's trainers
settings: budgets and settings
results: one form of result for every method
comparison: runs the methods beside each other
"""
