-- Which model predicts which region how well? One row a model and region, over the subjects that were scored.
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
