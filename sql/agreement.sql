-- How often do two models choose the same odd one out?
-- One row a pair of models, over the questions that both answered. Of several answers to one question the newest counts
-- (older wordings and stimuli stay in the table). Judgments made elsewhere do not say in which order they were shown and
-- are compared by the question alone.
-- Columns:
--   model_a          first model, in name order
--   model_b          second model
--   n                questions that both answered
--   agreement        share of them with the same odd one
--   agreement_low    95 % confidence interval of a share of n answers
--   agreement_high   95 % confidence interval of a share of n answers
--   normalised       agreement / the lower of the two noise ceilings: nobody can agree with a judge more often than the
--                    judge's own most frequent answer does; empty where a ceiling is not known
--   normalised_low   95 % confidence interval
--   normalised_high  95 % confidence interval
WITH newest AS (
    SELECT model, triplet_id, presented, odd
    FROM judgments
    SEMI JOIN study_models USING (model)
    WHERE repeat = 0
    QUALIFY row_number() OVER (PARTITION BY model, triplet_id, presented ORDER BY judged_at DESC) = 1
),

pairs AS (
    SELECT
        x.model AS model_a,
        y.model AS model_b,
        count(*) AS n,
        avg(CASE WHEN x.odd = y.odd THEN 1.0 ELSE 0.0 END) AS agreement
    FROM newest AS x
    INNER JOIN newest AS y
        ON x.triplet_id = y.triplet_id
        AND (x.presented = y.presented OR x.presented = 'unknown' OR y.presented = 'unknown')
    WHERE x.model < y.model
    GROUP BY x.model, y.model
),

ceilings AS (
    SELECT
        p.*,
        1.96 * sqrt(p.agreement * (1 - p.agreement) / p.n) AS half,
        CASE WHEN a.ceiling IS NOT NULL AND b.ceiling IS NOT NULL THEN least(a.ceiling, b.ceiling) END AS ceiling
    FROM pairs AS p
    LEFT JOIN embedding_quality AS a ON p.model_a = a.model
    LEFT JOIN embedding_quality AS b ON p.model_b = b.model
)

SELECT
    model_a,
    model_b,
    n,
    agreement,
    agreement - half AS agreement_low,
    agreement + half AS agreement_high,
    agreement / ceiling AS normalised,
    (agreement - half) / ceiling AS normalised_low,
    (agreement + half) / ceiling AS normalised_high
FROM ceilings
ORDER BY agreement DESC, model_a, model_b
