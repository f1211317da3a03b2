-- How often do two models choose the same odd one out? One row a pair of models, over the test questions both answered.
SELECT
    x.model AS model_a,
    y.model AS model_b,
    count(*) AS n,
    avg(CASE WHEN x.odd = y.odd THEN 1.0 ELSE 0.0 END) AS agreement
FROM judgments AS x
INNER JOIN judgments AS y ON x.triplet_id = y.triplet_id AND x.repeat = y.repeat AND x.presented = y.presented
INNER JOIN triplets AS t ON x.triplet_id = t.triplet_id
WHERE x.model < y.model AND t.purpose = 'test'
GROUP BY x.model, y.model
ORDER BY agreement DESC, model_a, model_b
