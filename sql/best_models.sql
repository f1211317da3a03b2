-- Which model predicts each region best, and by how much?
-- One row a region; control models take no part. The test is the paired one of `comparisons`, over subjects. The two
-- models were chosen by the same scores, which makes the margin too large and its q too small.
-- Columns:
--   roi          region
--   best         model with the highest mean r over subjects
--   mean_r       its mean r
--   second       the model after it; empty where there is one model only
--   second_r     its mean r
--   margin       mean over subjects of best minus second
--   margin_low   95 % confidence interval of the margin
--   margin_high  95 % confidence interval of the margin
--   q            BH-FDR q of the margin over regions; empty where a model does not cover the scoring set
--   n_subjects   subjects with both
WITH means AS (
    SELECT
        s.roi,
        s.model,
        avg(s.mean_r) AS mean_r
    FROM encoding_scores AS s
    INNER JOIN study_models AS m ON s.model = m.model AND NOT m.control
    SEMI JOIN study_subjects ON s.subject = study_subjects.subject
    GROUP BY s.roi, s.model
    HAVING avg(s.mean_r) IS NOT NULL
),

ranked AS (
    SELECT
        roi,
        model,
        mean_r,
        row_number() OVER (PARTITION BY roi ORDER BY mean_r DESC, model) AS place
    FROM means
),

pairs AS (
    SELECT
        b.roi,
        b.model AS best,
        b.mean_r,
        s.model AS second,
        s.mean_r AS second_r,
        CASE WHEN b.model < s.model THEN 1 ELSE -1 END AS direction
    FROM ranked AS b
    LEFT JOIN ranked AS s ON b.roi = s.roi AND s.place = 2
    WHERE b.place = 1
)

SELECT
    p.roi,
    p.best,
    p.mean_r,
    p.second,
    p.second_r,
    coalesce(p.direction * c.mean_difference, p.mean_r - p.second_r) AS margin,
    CASE WHEN p.direction = 1 THEN c.ci_low ELSE -c.ci_high END AS margin_low,
    CASE WHEN p.direction = 1 THEN c.ci_high ELSE -c.ci_low END AS margin_high,
    c.q,
    c.n_subjects
FROM pairs AS p
LEFT JOIN comparisons AS c
    ON p.roi = c.roi
    AND c.metric = 'encoding'
    AND c.model_a = least(p.best, p.second)
    AND c.model_b = greatest(p.best, p.second)
ORDER BY p.mean_r DESC, p.roi
