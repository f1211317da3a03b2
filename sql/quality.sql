-- How good is each model's embedding?
-- One row a model, best held-out accuracy first.
-- Columns:
--   model             whose space
--   n_dimensions      dimensions kept
--   coverage          share of the scoring set with a vector, 0..1
--   n_train           training judgments used
--   n_test            held-out judgments
--   accuracy          held-out odd-one-out accuracy
--   accuracy_low      95 % confidence interval over clips
--   accuracy_high     95 % confidence interval over clips
--   ceiling           noise ceiling from repeats; empty where nothing was asked repeatedly
--   share_of_ceiling  accuracy / ceiling
--   chance            accuracy under permuted answers
--   needed_95         weights a clip that keep 95 % of the accuracy
--   needed_99         weights a clip that keep 99 % of the accuracy
--   rsm_r             r of predicted and measured similarity of the validation clips
--   top3_27           top-3 nearest-centroid accuracy, 27 categories
--   top3_34           the same, 34 categories
--   n_refused         questions given up as refused or invalid
SELECT
    model,
    n_dimensions,
    coverage,
    n_train,
    n_test,
    accuracy,
    accuracy_low,
    accuracy_high,
    ceiling,
    share_of_ceiling,
    chance,
    needed_95,
    needed_99,
    rsm_r,
    top3_27,
    top3_34,
    n_refused
FROM embedding_quality
SEMI JOIN study_models USING (model)
ORDER BY accuracy DESC NULLS LAST, model
