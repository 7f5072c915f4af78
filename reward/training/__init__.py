"""From the votes in a store to a reward run.

fit: fits a reward and writes its run folder
models: the kinds of reward that a run can hold, and their comparison
base_scale: the spread of features over the base policy's melodies
model_card: the model card of a reward run
plots: the plots of the model card
svg: plots as SVG text
"""
