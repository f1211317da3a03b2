-- Where in the brain does one model predict, and how does it stand beside the others?
-- One row a region, best first.
-- Columns:
--   roi            region
--   n_subjects     subjects with a score
--   mean_r         mean over subjects of the region's mean cross-validated r
--   sd_r           standard deviation over subjects
--   lowest_r       the lowest subject
--   highest_r      the highest subject
--   normalised_r   mean over subjects of r / noise ceiling; empty where no repeats gave a ceiling
--   n_significant  subjects with q < .05 (over regions)
--   rho            mean over subjects of the similarity analysis' correlation
--   place          1 where no other model of the study has a higher mean r in the region
--   n_models       models of the study that were scored there
-- Parameters:
--   $model  a model of the study
WITH means AS (
    SELECT
        model,
        roi,
        count(mean_r) AS n_subjects,
        avg(mean_r) AS mean_r,
        stddev_samp(mean_r) AS sd_r,
        min(mean_r) AS lowest_r,
        max(mean_r) AS highest_r,
        avg(normalised_r) AS normalised_r,
        count(*) FILTER (WHERE q < 0.05) AS n_significant
    FROM encoding_scores
    SEMI JOIN study_models USING (model)
    SEMI JOIN study_subjects USING (subject)
    GROUP BY model, roi
),

similarities AS (
    SELECT
        roi,
        avg(rho) AS rho
    FROM rsa_scores
    SEMI JOIN study_subjects USING (subject)
    -- one method a study: Pearson's where it has both
    WHERE model = $model AND method = (SELECT min(method) FROM rsa_scores WHERE method IN ('pearson', 'spearman'))
    GROUP BY roi
),

ranked AS (
    SELECT
        *,
        CASE WHEN mean_r IS NOT NULL THEN rank() OVER (PARTITION BY roi ORDER BY mean_r DESC NULLS LAST) END AS place,
        count(mean_r) OVER (PARTITION BY roi) AS n_models
    FROM means
)

SELECT
    r.roi,
    r.n_subjects,
    r.mean_r,
    r.sd_r,
    r.lowest_r,
    r.highest_r,
    r.normalised_r,
    r.n_significant,
    s.rho,
    r.place,
    r.n_models
FROM ranked AS r
LEFT JOIN similarities AS s ON r.roi = s.roi
WHERE r.model = $model
ORDER BY r.mean_r DESC NULLS LAST, r.roi
