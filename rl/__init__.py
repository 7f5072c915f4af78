"""What the policy learns: rollouts, PPO, baselines, evaluation, runs and the report."""
