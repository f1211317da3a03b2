-- What did each model answer, refuse and leave out?
-- One row a model of the study.
-- Columns:
--   model        the judge
--   n_judgments  accepted answers, of all wordings and stimuli
--   n_questions  different triplets among them
--   n_attempts   answers that were not accepted
--   n_refused    of these: refusals
--   n_invalid    of these: answers that name no clip
--   n_cut        of these: stopped by length or filtered by the service
--   n_failed     of these: errors, expired and unperceived questions
--   n_given_up   questions that ended without an answer
--   given_up     share of all questions that were settled, 0..1
--   n_clips      clips with a vector in the model's space
--   coverage     share of the scoring set with a vector, 0..1
WITH answers AS (
    SELECT
        model,
        count(*) AS n_judgments,
        count(DISTINCT triplet_id) AS n_questions
    FROM judgments
    GROUP BY model
),

tries AS (
    SELECT
        model,
        count(*) AS n_attempts,
        count(*) FILTER (WHERE reason = 'refused') AS n_refused,
        count(*) FILTER (WHERE reason = 'invalid') AS n_invalid,
        count(*) FILTER (WHERE reason IN ('length', 'filtered')) AS n_cut,
        count(*) FILTER (WHERE reason IN ('error', 'expired', 'unperceived')) AS n_failed,
        count(*) FILTER (WHERE final) AS n_given_up
    FROM attempts
    GROUP BY model
),

spaces AS (
    SELECT
        e.model,
        count(*) AS n_clips,
        any_value(q.coverage) AS coverage
    FROM embeddings AS e
    LEFT JOIN embedding_quality AS q ON e.model = q.model
    GROUP BY e.model
)

SELECT
    m.model,
    coalesce(a.n_judgments, 0) AS n_judgments,
    coalesce(a.n_questions, 0) AS n_questions,
    coalesce(t.n_attempts, 0) AS n_attempts,
    coalesce(t.n_refused, 0) AS n_refused,
    coalesce(t.n_invalid, 0) AS n_invalid,
    coalesce(t.n_cut, 0) AS n_cut,
    coalesce(t.n_failed, 0) AS n_failed,
    coalesce(t.n_given_up, 0) AS n_given_up,
    coalesce(t.n_given_up, 0) / nullif(coalesce(a.n_judgments, 0) + coalesce(t.n_given_up, 0), 0) AS given_up,
    s.n_clips,
    s.coverage
FROM study_models AS m
LEFT JOIN answers AS a ON m.model = a.model
LEFT JOIN tries AS t ON m.model = t.model
LEFT JOIN spaces AS s ON m.model = s.model
WHERE a.model IS NOT NULL OR t.model IS NOT NULL OR s.model IS NOT NULL
ORDER BY m.model
