-- How often do two models choose the same odd one out? One row a pair of models, over the questions both answered.
-- Of several answers to one question the newest counts (older wordings and stimuli stay in the table). Judgments made
-- elsewhere do not say in which order they were shown and are compared by the question alone.
WITH newest AS (
    SELECT model, triplet_id, presented, odd
    FROM judgments
    SEMI JOIN study_models USING (model)
    WHERE repeat = 0
    QUALIFY row_number() OVER (PARTITION BY model, triplet_id, presented ORDER BY judged_at DESC) = 1
)

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
ORDER BY agreement DESC, model_a, model_b
