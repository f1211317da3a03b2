-- Which model predicts which region how well?
-- One row a model and region, over the subjects that were scored; best first.
-- Columns:
--   model          whose space
--   roi            region
--   n_subjects     subjects with a score
--   mean_r         mean over subjects of the region's mean cross-validated r
--   lowest_r       the lowest subject
--   highest_r      the highest subject
--   normalised_r   mean over subjects of r / noise ceiling; empty where no repeats gave a ceiling
--   n_significant  subjects with q < .05 (over regions)
--   coverage       least share of the scoring set that the model covers, 0..1
SELECT
    model,
    roi,
    count(mean_r) AS n_subjects,
    avg(mean_r) AS mean_r,
    min(mean_r) AS lowest_r,
    max(mean_r) AS highest_r,
    avg(normalised_r) AS normalised_r,
    count(*) FILTER (WHERE q < 0.05) AS n_significant,
    min(coverage) AS coverage
FROM encoding_scores
SEMI JOIN study_models USING (model)
SEMI JOIN study_subjects USING (subject)
GROUP BY model, roi
ORDER BY mean_r DESC NULLS LAST, model, roi
