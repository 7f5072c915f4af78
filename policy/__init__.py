"""A pretrained melody language model: load, log-probabilities, cached decoding, pretraining."""
