"""What people like: the ratings store, taste models, simulated listeners."""
