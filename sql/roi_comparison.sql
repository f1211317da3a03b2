-- How do the models' similarities compare in each region, as in the paper's table?
-- One row a region and model: the correlation of similarities, mean of the subjects, and the models that it beats (Du et
-- al. 2025 draw the same with stars). Regions of the paper come first, in its order; the paper's numbers are of
-- searchlights averaged inside regions, ours of the regions themselves.
-- Columns:
--   roi            region
--   model          whose space
--   n_subjects     subjects scored
--   rho            mean over subjects of the correlation of the two similarity matrices
--   sd_rho         standard deviation over subjects
--   lowest_rho     the lowest subject
--   highest_rho    the highest subject
--   n_significant  subjects with q < .05 (over regions)
--   better_than    models with a lower mean whose paired difference over subjects has q < .05
WITH means AS (
    SELECT
        roi,
        model,
        count(*) AS n_subjects,
        avg(rho) AS rho,
        stddev_samp(rho) AS sd_rho,
        min(rho) AS lowest_rho,
        max(rho) AS highest_rho,
        count(*) FILTER (WHERE q < 0.05) AS n_significant
    FROM rsa_scores
    SEMI JOIN study_models USING (model)
    SEMI JOIN study_subjects USING (subject)
    GROUP BY roi, model
),

wins AS (
    SELECT
        roi,
        CASE WHEN mean_difference > 0 THEN model_a ELSE model_b END AS model,
        string_agg(
            CASE WHEN mean_difference > 0 THEN model_b ELSE model_a END, ', '
            ORDER BY model_a, model_b
        ) AS better_than
    FROM comparisons
    WHERE metric = 'rsa' AND q < 0.05
    GROUP BY 1, 2
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
LEFT JOIN wins AS w ON m.roi = w.roi AND m.model = w.model
ORDER BY list_position(list_transform(paper.rois, lambda x: lower(x)), lower(m.roi)) NULLS LAST, m.roi, m.rho DESC, m.model
