-- Which model predicts whose brain best?
-- One row a model and subject; models by their mean over subjects, best first. The regions are in `regions`.
-- Columns:
--   place              1 for the model with the highest mean over subjects; empty where none was scored
--   model              whose space
--   control            true for a control model
--   subject            whose brain
--   n_rois             regions scored
--   mean_r             mean over regions of the cross-validated r
--   normalised_r       mean over regions of r / noise ceiling; empty where no repeats gave a ceiling
--   n_significant      regions with q < .05
--   best_roi           region with the highest r
--   best_r             its r
--   n_voxels           voxels scored, in a region or not
--   share_significant  share of these voxels with q < .05; empty where nothing was tested
--   n_judgments        judgments of the model in all
--   coverage           share of the scoring set that the model covers, 0..1
WITH regions AS (
    SELECT
        model,
        subject,
        count(mean_r) AS n_rois,
        avg(mean_r) AS mean_r,
        avg(normalised_r) AS normalised_r,
        count(*) FILTER (WHERE q < 0.05) AS n_significant,
        arg_max(roi, mean_r) AS best_roi,
        max(mean_r) AS best_r,
        min(coverage) AS coverage
    FROM encoding_scores
    SEMI JOIN study_subjects USING (subject)
    GROUP BY model, subject
),

voxel_counts AS (
    SELECT
        model,
        subject,
        count(*) AS n_voxels,
        avg(CASE WHEN q < 0.05 THEN 1.0 WHEN q IS NOT NULL THEN 0.0 END) AS share_significant
    FROM voxel_scores
    GROUP BY model, subject
),

asked AS (
    SELECT
        model,
        count(*) AS n_judgments
    FROM judgments
    GROUP BY model
),

places AS (
    SELECT
        model,
        avg(mean_r) AS model_r
    FROM regions
    GROUP BY model
)

SELECT
    CASE WHEN p.model_r IS NOT NULL THEN dense_rank() OVER (ORDER BY p.model_r DESC NULLS LAST) END AS place,
    r.model,
    m.control,
    r.subject,
    r.n_rois,
    r.mean_r,
    r.normalised_r,
    r.n_significant,
    r.best_roi,
    r.best_r,
    v.n_voxels,
    v.share_significant,
    coalesce(a.n_judgments, 0) AS n_judgments,
    r.coverage
FROM regions AS r
INNER JOIN study_models AS m ON r.model = m.model
INNER JOIN places AS p ON r.model = p.model
LEFT JOIN voxel_counts AS v ON r.model = v.model AND r.subject = v.subject
LEFT JOIN asked AS a ON r.model = a.model
ORDER BY place NULLS LAST, r.model, r.subject
