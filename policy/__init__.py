"""The melody language model: its network, its checkpoints, decoding, pretraining, and run folders.

model: the network, a Llama with the position in the bar as one more input
configuration: what a policy's configuration may say, and what it says of the weights
scope: which headers a policy was trained on, and the mask that follows from it
usual_header: the header that is asked for by default
folder: what a policy's folder says of it, read without torch
earlier: policies of version 0.1.0, in the vocabulary of today
weights: tensors of a file, checked by its header before they are read
shipped: where the shipped base policy is
checkpoint: saving and loading policies and training steps
runs: run folders: configuration, record, log and result of a run
pretraining: training a base policy on corpora, from nothing or from another policy
model_card: the model card of a policy
compose: writing melodies from a policy, under a header and a motif
episodes: a batch of melodies being written within the grammar
decode: cached sampling of such a batch
logprobs: log-probabilities of whole melodies
trunk: hidden states of whole melodies without padding
masked: the policy as TRL's trainers drive it
trl_options: options that we give to every trainer of TRL
no_telemetry: Hugging Face's telemetry, switched off

Importing this package switches that telemetry off.
"""

import policy.no_telemetry  # noqa: F401  before any library reports itself
