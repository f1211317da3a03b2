-- Which clips does a model refuse, or answer unreadably?
-- One row a clip that was asked about, the most refused first; a question counts for each of its three clips.
-- Parameters:
--   $model  a model of the study
-- Columns:
--   video_id    the clip
--   n_answers   answers about it of any kind; failures of the transport are none
--   n_refused   of these: refused, or filtered by the service
--   n_invalid   of these: unreadable, or cut off
--   refused     share refused, 0..1
--   invalid     share unreadable, 0..1
--   n_given_up  questions about it that ended without an answer
WITH settled AS (
    SELECT
        a,
        b,
        c,
        'accepted' AS reason,
        FALSE AS final
    FROM judgments
    WHERE model = $model
    UNION ALL
    SELECT
        t.a,
        t.b,
        t.c,
        x.reason,
        x.final
    FROM attempts AS x
    INNER JOIN triplets AS t USING (triplet_id)
    WHERE x.model = $model
),

by_item AS (
    SELECT
        reason,
        final,
        unnest([a, b, c]) AS item
    FROM settled
),

counts AS (
    SELECT
        item,
        count(*) FILTER (WHERE reason IN ('accepted', 'refused', 'filtered', 'invalid', 'length')) AS n_answers,
        count(*) FILTER (WHERE reason IN ('refused', 'filtered')) AS n_refused,
        count(*) FILTER (WHERE reason IN ('invalid', 'length')) AS n_invalid,
        count(*) FILTER (WHERE final) AS n_given_up
    FROM by_item
    GROUP BY item
)

SELECT
    v.video_id,
    n.n_answers,
    n.n_refused,
    n.n_invalid,
    n.n_refused / nullif(n.n_answers, 0) AS refused,
    n.n_invalid / nullif(n.n_answers, 0) AS invalid,
    n.n_given_up
FROM counts AS n
INNER JOIN videos AS v USING (item)
ORDER BY refused DESC NULLS LAST, invalid DESC NULLS LAST, v.video_id
