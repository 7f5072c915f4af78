"""The taste profile: Bayesian Bradley-Terry-Davidson regression on named features.

features: the features of a melody
earlier_features: profiles that were fitted to fewer features
feature_scale: standardises features by the base policy's melodies
davidson: the likelihood of one comparison, with ties and sides
laplace: the mode and curvature of a posterior over a group and its raters
effect_matrices: which melodies' own effects act on which votes, and their precision
melody_effects: what is liked in a melody beyond its features, the same in each vote on it
rater_scales: how strongly each rater follows the group
reasons: which features a rater's reason speaks of
reason_likelihood: the likelihood of a reason, given what features are worth
reason_trust: how far each rater's reasons can be trusted
bradley_terry: fits the regression
profile: the fitted profile: scores, explanations, saving and loading
profile_json: parts of a profile as JSON, and back
training: fits a profile, and measures on held-out votes how well it predicts
learning_curve: agreement by number of votes, and what more votes would add
"""
