-- How do the models' similarities compare in each region, as in the paper's table?
-- One row a region, model and method: the correlation of similarities, mean of the subjects, and the models that it
-- beats (Du et al. 2025 draw the same with stars). Regions of the paper come first, in its order; its numbers are of
-- searchlights averaged inside regions: the method searchlight here, where the study asks for one. The other methods are
-- of the regions' own patterns.
-- Columns:
--   roi            region
--   method         pearson or spearman, with partial_ before it where controls are partialled out, or searchlight
--   model          whose space
--   n_subjects     subjects scored
--   rho            mean over subjects of the correlation of the two similarity matrices
--   sd_rho         standard deviation over subjects
--   lowest_rho     the lowest subject
--   highest_rho    the highest subject
--   n_significant  subjects with q < .05 (over regions); empty where nothing was tested
--   better_than    models with a lower mean whose paired difference over subjects has q < .05
WITH regions AS (
    SELECT
        subject,
        voxel,
        unnest(rois) AS roi
    FROM voxels
),

similarities AS (
    SELECT
        subject,
        model,
        roi,
        method,
        rho,
        q
    FROM rsa_scores
    UNION ALL
    SELECT
        s.subject,
        s.model,
        r.roi,
        'searchlight' AS method,
        avg(s.rho) AS rho,
        NULL AS q
    FROM searchlight_scores AS s
    INNER JOIN regions AS r ON s.subject = r.subject AND s.voxel = r.voxel
    GROUP BY s.subject, s.model, r.roi
),

means AS (
    SELECT
        roi,
        method,
        model,
        count(*) AS n_subjects,
        avg(rho) AS rho,
        stddev_samp(rho) AS sd_rho,
        min(rho) AS lowest_rho,
        max(rho) AS highest_rho,
        CASE WHEN count(q) > 0 THEN count(*) FILTER (WHERE q < 0.05) END AS n_significant
    FROM similarities
    SEMI JOIN study_models USING (model)
    SEMI JOIN study_subjects USING (subject)
    GROUP BY roi, method, model
),

wins AS (
    SELECT
        roi,
        CASE WHEN metric = 'rsa' THEN 'pearson' ELSE replace(metric, 'rsa_', '') END AS method,
        CASE WHEN mean_difference > 0 THEN model_a ELSE model_b END AS model,
        string_agg(
            CASE WHEN mean_difference > 0 THEN model_b ELSE model_a END, ', '
            ORDER BY model_a, model_b
        ) AS better_than
    FROM comparisons
    WHERE metric <> 'encoding' AND q < 0.05
    GROUP BY 1, 2, 3
),

paper AS (
    SELECT [
        'VC', 'IPL', 'MST', 'MTC', 'PC', 'TPJ', 'TF', 'STS', 'TE', 'ACC', 'insula', 'OFC', 'DLPFC', 'DMPFC', 'VLPFC',
        'VMPFC', 'hippocampus', 'cerebellum', 'thalamus', 'caudate', 'amygdala', 'putamen', 'pallidum',
        'nucleus accumbens', 'hypothalamus', 'brainstem'
    ] AS rois
)

SELECT
    m.roi,
    m.method,
    m.model,
    m.n_subjects,
    m.rho,
    m.sd_rho,
    m.lowest_rho,
    m.highest_rho,
    m.n_significant,
    w.better_than
FROM means AS m
CROSS JOIN paper
LEFT JOIN wins AS w ON m.roi = w.roi AND m.method = w.method AND m.model = w.model
ORDER BY
    list_position(list_transform(paper.rois, lambda x: lower(x)), lower(m.roi)) NULLS LAST,
    m.roi,
    m.method,
    m.rho DESC,
    m.model
