-- Can each judge be relied on?
-- One row a model that was asked in known orders, in its newest wording (that of its newest answer).
-- Columns:
--   model           the judge
--   prompt_version  the wording
--   n_answers       accepted answers
--   first_place     share of answers to random orders that call the first clip shown odd
--   second_place    the same for the second
--   third_place     the same for the third
--   place_p         test of equal shares (chi-squared, 2 degrees of freedom)
--   repeatability   panel: share of pairs of answers to the same order that agree, mean over questions
--   consistency     panel: the same for pairs of answers to different orders
--   ceiling         share of the most frequent answer to a repeated question, mean over questions
--   near_ties       share of answers with probabilities whose two largest differ by less than .05
--   latency_s       median seconds from request to answer
--   latency_s_90    90th percentile of it
WITH newest AS (
    SELECT
        model,
        last(prompt_version ORDER BY judged_at, prompt_version) AS prompt_version
    FROM judgments
    WHERE presented <> 'unknown'
    GROUP BY model
),

answers AS (
    SELECT
        j.*,
        t.purpose,
        t.repeats,
        strpos(j.presented, CASE j.odd WHEN j.a THEN 'a' WHEN j.b THEN 'b' ELSE 'c' END) AS place,
        greatest(j.p_a, j.p_b, j.p_c) AS top,
        least(j.p_a, j.p_b, j.p_c) AS low,
        j.p_a + j.p_b + j.p_c AS total
    FROM judgments AS j
    SEMI JOIN newest USING (model, prompt_version)
    LEFT JOIN triplets AS t ON j.triplet_id = t.triplet_id AND t.purpose IN ('panel', 'ceiling')
),

general AS (
    SELECT
        model,
        any_value(prompt_version) AS prompt_version,
        count(*) AS n_answers,
        count(*) FILTER (WHERE place = 1 AND purpose IS DISTINCT FROM 'panel') AS n1,
        count(*) FILTER (WHERE place = 2 AND purpose IS DISTINCT FROM 'panel') AS n2,
        count(*) FILTER (WHERE place = 3 AND purpose IS DISTINCT FROM 'panel') AS n3,
        count(*) FILTER (WHERE 2 * top + low - total < 0.05) / nullif(count(total), 0) AS near_ties,
        quantile_cont(latency_s, 0.5) AS latency_s,
        quantile_cont(latency_s, 0.9) AS latency_s_90
    FROM answers
    GROUP BY model
),

each_answer AS (
    SELECT
        model,
        triplet_id,
        presented,
        odd,
        count(*) AS k
    FROM answers
    WHERE purpose = 'panel' AND repeat < repeats
    GROUP BY model, triplet_id, presented, odd
),

within_order AS (
    SELECT
        model,
        triplet_id,
        sum(pairs) AS pairs,
        sum(agreeing) AS agreeing
    FROM (
        SELECT
            model,
            triplet_id,
            sum(k) * (sum(k) - 1) / 2 AS pairs,
            sum(k * (k - 1) / 2) AS agreeing
        FROM each_answer
        GROUP BY model, triplet_id, presented
    )
    GROUP BY model, triplet_id
),

in_all AS (
    SELECT
        model,
        triplet_id,
        sum(k) * (sum(k) - 1) / 2 AS pairs,
        sum(k * (k - 1) / 2) AS agreeing
    FROM (
        SELECT
            model,
            triplet_id,
            sum(k) AS k
        FROM each_answer
        GROUP BY model, triplet_id, odd
    )
    GROUP BY model, triplet_id
),

itself AS (
    SELECT
        model,
        avg(w.agreeing / nullif(w.pairs, 0)) AS repeatability,
        avg((i.agreeing - w.agreeing) / nullif(i.pairs - w.pairs, 0)) AS consistency
    FROM in_all AS i
    INNER JOIN within_order AS w USING (model, triplet_id)
    GROUP BY model
),

ceilings AS (
    SELECT
        model,
        avg(most / n) AS ceiling
    FROM (
        SELECT
            model,
            triplet_id,
            max(k) AS most,
            sum(k) AS n
        FROM (
            SELECT
                model,
                triplet_id,
                odd,
                count(*) AS k
            FROM answers
            WHERE purpose = 'ceiling'
            GROUP BY model, triplet_id, odd
        )
        GROUP BY model, triplet_id
        HAVING sum(k) > 1
    )
    GROUP BY model
)

SELECT
    g.model,
    g.prompt_version,
    g.n_answers,
    g.n1 / nullif(g.n1 + g.n2 + g.n3, 0) AS first_place,
    g.n2 / nullif(g.n1 + g.n2 + g.n3, 0) AS second_place,
    g.n3 / nullif(g.n1 + g.n2 + g.n3, 0) AS third_place,
    -- the upper tail of chi-squared with 2 degrees of freedom is exp(-x / 2)
    exp(-(3 * (g.n1 * g.n1 + g.n2 * g.n2 + g.n3 * g.n3) / nullif(g.n1 + g.n2 + g.n3, 0) - (g.n1 + g.n2 + g.n3)) / 2)
        AS place_p,
    i.repeatability,
    i.consistency,
    c.ceiling,
    g.near_ties,
    g.latency_s,
    g.latency_s_90
FROM general AS g
SEMI JOIN study_models USING (model)
LEFT JOIN itself AS i ON g.model = i.model
LEFT JOIN ceilings AS c ON g.model = c.model
ORDER BY g.model
