-- What can be read from which region?
-- One row a region, model and subject: the reverse check of the encoding models, best region first.
-- Columns:
--   roi             region
--   model           whose scores of the clips are decoded
--   subject         whose brain
--   n_voxels        voxels of the region
--   n_dimensions    scores decoded
--   mean_r          mean over scores of the cross-validated r
--   identification  pairwise identification accuracy, chance .5
--   p               its permutation p, one-sided
--   q               BH-FDR over the regions of this subject and model
--   best_dimension  score with the highest r
--   best_label      its name, where the model's dimensions have names
--   best_r          its r
WITH best AS (
    SELECT
        *,
        list_max(list_transform(by_dimension, lambda x: x.r)) AS best_r
    FROM decoding_scores
    SEMI JOIN study_models USING (model)
    SEMI JOIN study_subjects USING (subject)
),

chosen AS (
    SELECT
        *,
        list_filter(by_dimension, lambda x: x.r = best_r)[1].dimension AS best_dimension,
        avg(identification) OVER (PARTITION BY model, roi) AS over_subjects
    FROM best
)

SELECT
    c.roi,
    c.model,
    c.subject,
    c.n_voxels,
    c.n_dimensions,
    c.mean_r,
    c.identification,
    c.p,
    c.q,
    c.best_dimension,
    d.label AS best_label,
    c.best_r
FROM chosen AS c
LEFT JOIN dimensions AS d ON c.model = d.model AND c.best_dimension = d.dimension
ORDER BY c.over_subjects DESC, c.roi, c.model, c.subject
