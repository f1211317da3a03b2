-- Is each service still the judge that it was?
-- One row a model and round of the sentinels (`triplets.sentinel`), in the newest wording of the model.
-- Columns:
--   model        the judge
--   round        1 for the first day on which the sentinels were asked again
--   begun        time of the round's first answer
--   answered_by  names of the models that the service says have answered
--   n            questions that both days answered
--   agreement    share of answers equal to the first day's to the same question in the same order
--   first_day    the same among the first day's own answers
WITH newest AS (
    SELECT
        model,
        last(prompt_version ORDER BY judged_at, prompt_version) AS prompt_version
    FROM judgments
    WHERE presented <> 'unknown'
    GROUP BY model
),

panel AS (
    SELECT
        j.*,
        t.repeats
    FROM judgments AS j
    SEMI JOIN newest USING (model, prompt_version)
    INNER JOIN triplets AS t USING (triplet_id)
    WHERE t.purpose = 'panel'
),

itself AS (
    SELECT
        x.model,
        x.triplet_id,
        x.presented,
        avg((x.odd = y.odd)::INTEGER) AS first_day
    FROM panel AS x
    INNER JOIN panel AS y USING (model, triplet_id, presented)
    WHERE x.repeat < y.repeat AND y.repeat < y.repeats
    GROUP BY x.model, x.triplet_id, x.presented
),

later AS (
    SELECT
        z.model,
        z.triplet_id,
        z.presented,
        z.repeat - z.repeats + 1 AS round,
        any_value(z.model_returned) AS answered_by,
        min(z.judged_at) AS begun,
        avg((z.odd = x.odd)::INTEGER) AS agreement
    FROM panel AS z
    INNER JOIN panel AS x USING (model, triplet_id, presented)
    WHERE z.repeat >= z.repeats AND x.repeat < x.repeats
    GROUP BY z.model, z.triplet_id, z.presented, z.repeat, z.repeats
)

SELECT
    model,
    l.round,
    min(l.begun) AS begun,
    string_agg(DISTINCT l.answered_by, ', ' ORDER BY l.answered_by) AS answered_by,
    count(*) AS n,
    avg(l.agreement) AS agreement,
    avg(i.first_day) AS first_day
FROM later AS l
INNER JOIN itself AS i USING (model, triplet_id, presented)
SEMI JOIN study_models USING (model)
GROUP BY model, l.round
ORDER BY model, l.round
